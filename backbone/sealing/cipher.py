"""Encrypts and decrypts: texts with data keys, and data keys with a master key. AES-256-GCM does both.

A nonce is drawn at random for each text. One key bears 2^32 of them (NIST SP 800-38D, 8.3); no person's sees as many.
"""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
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
        try:
            sealed = _read(ciphertext)
        except ValueError:  # so many characters are no bytes
            raise NotOurs(f"What is said to be sealed with the key {self.name} is not.") from None
        return _decrypted(self.secret, sealed, self.name).decode()


def new_key(service: str) -> DataKey:
    """Draw a data key that a service is to keep."""
    return DataKey(f"{service}.{_written(secrets.token_bytes(16))}", secrets.token_bytes(KEY_BYTES))


def id_of(master: bytes) -> str:
    """Name a master key without telling it."""
    return hashlib.sha256(b"a master key of Sliceline: " + master).hexdigest()[:16]


def wrapped(key: DataKey, master: bytes) -> bytes:
    """Encrypt a data key with a master key, to be stored."""
    return _encrypted(master, key.secret, key.name)


def unwrapped(name: str, stored: bytes, masters: Sequence[bytes]) -> DataKey:
    """Decrypt a stored data key. Raises NotOurs where it was wrapped with none of these master keys.

    Which one it was is tried: there are two for the time in which one takes the other's place.
    """
    for master in masters[:-1]:
        with suppress(NotOurs):
            return DataKey(name, _decrypted(master, stored, name))
    return DataKey(name, _decrypted(masters[-1], stored, name))


def wrapped_anew(name: str, stored: bytes, masters: Sequence[bytes]) -> bytes | None:
    """Wrap a stored data key with the first master key; None where it is so already. Raises NotOurs."""
    with suppress(NotOurs):
        unwrapped(name, stored, masters[:1])
        return None
    return wrapped(unwrapped(name, stored, masters), masters[0])


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
