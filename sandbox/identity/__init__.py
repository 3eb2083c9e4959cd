"""An OpenID Connect identity provider: says who somebody is, and what they may, in tokens that it signs."""
