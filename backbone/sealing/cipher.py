"""Encrypts and decrypts: texts with data keys, and data keys with the master key. AES-256-GCM does both.

A nonce is drawn at random for each text. One key bears 2^32 of them (NIST SP 800-38D, 8.3); no person's sees as many.
"""

import base64
import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backbone.errors import SlicelineError
from backbone.values.sealed import KEY_BYTES

_NONCE_BYTES = 12


class NotOurs(SlicelineError):
    """A data key or a sealed text was changed, or sealed with another key than the one it names."""


@dataclass(frozen=True)
class DataKey:
    """Is the key of one person's texts; `name` is that of the service that keeps it and its own, with a dot between."""

    name: str
    secret: bytes = field(repr=False)

    def seal(self, text: str) -> str:
        """Encrypt a text; what comes of it differs each time."""
        return f"sealed:1:{self.name}:{_written(_encrypted(self.secret, text.encode(), self.name))};"

    def open(self, ciphertext: str) -> str:
        """Decrypt the last part of a sealed text. Raises NotOurs."""
        return _decrypted(self.secret, _read(ciphertext), self.name).decode()


def new_key(service: str) -> DataKey:
    """Draw a data key that a service is to keep."""
    return DataKey(f"{service}.{_written(secrets.token_bytes(16))}", secrets.token_bytes(KEY_BYTES))


def wrapped(key: DataKey, master: bytes) -> bytes:
    """Encrypt a data key with the master key, to be stored."""
    return _encrypted(master, key.secret, key.name)


def unwrapped(name: str, stored: bytes, master: bytes) -> DataKey:
    """Decrypt a stored data key. Raises NotOurs where it was wrapped with another master key."""
    return DataKey(name, _decrypted(master, stored, name))


def _encrypted(key: bytes, plain: bytes, name: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, name.encode())


def _decrypted(key: bytes, sealed: bytes, name: str) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
    except (InvalidTag, ValueError):
        raise NotOurs(f"What was sealed with the key {name} cannot be opened with it.") from None


def _written(given: bytes) -> str:
    return base64.urlsafe_b64encode(given).rstrip(b"=").decode()


def _read(given: str) -> bytes:
    return base64.urlsafe_b64decode(given + "=" * (-len(given) % 4))
