"""Makes secrets for signatures, as Standard Webhooks writes them (https://www.standardwebhooks.com)."""

import base64
import secrets

PREFIX = "whsec_"
_BYTES = 32


def new_secret() -> str:
    """Make a secret that nobody guesses; other ways to sign take it as the text that it is."""
    return f"{PREFIX}{base64.b64encode(secrets.token_bytes(_BYTES)).decode()}"
