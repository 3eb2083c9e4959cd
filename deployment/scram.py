"""Makes what Postgres keeps of a password, SCRAM-SHA-256 (RFC 5803), so that no statement has the password itself."""

import base64
import hashlib
import hmac
import re
import secrets

ITERATIONS = 4096
"""What Postgres takes by itself: a login pays for each."""
_KEPT = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$[^:]+:.+")


def verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """Return what is kept of a password of ASCII, as `ALTER ROLE … PASSWORD` takes it."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored = hashlib.sha256(_keyed(salted, b"Client Key")).digest()
    return f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(stored)}:{_text(_keyed(salted, b'Server Key'))}"


def is_of(kept: str | None, password: str) -> bool:
    """Tell whether what Postgres keeps is of this password."""
    found = _KEPT.fullmatch(kept or "")
    if found is None:
        return False
    return hmac.compare_digest(found[0], verifier(password, base64.b64decode(found[2]), int(found[1])))


def _keyed(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
