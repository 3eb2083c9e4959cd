"""Knows who asks: by tokens that an OpenID Connect issuer has signed."""
