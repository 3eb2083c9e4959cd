"""Keeps who is logged in, in a cookie that only this console can read: there is nothing to keep here."""

import base64
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

T = TypeVar("T")
_KEY_BYTES = 32


@dataclass(frozen=True)
class Session:
    """Is somebody who is logged in: the name, what that one may, and the token with which services are asked."""

    name: str
    scopes: frozenset[str]
    token: str = field(repr=False)
    ends_at: float
    """When the token ends, in seconds since 1970."""
    refresh: str | None = field(default=None, repr=False)
    """What the issuer gives the next token for."""
    is_renewed: bool = False
    """Whether the browser's cookie is of what it was before it was renewed."""
    is_open: bool = False
    """Whether the shop asks nobody for a token, so that everybody may do everything."""

    def may(self, *scopes: str) -> bool:
        """Tell whether one of these scopes is this person's."""
        return self.is_open or any(each in self.scopes for each in scopes)

    @property
    def remaining(self) -> float:
        """For how many seconds the token still counts."""
        return self.ends_at - time.time()


ANYBODY = Session("anybody", frozenset(), "", float("inf"), is_open=True)
"""Who comes where nobody is asked for a token."""


class Seal:
    """Encrypts small values for a way through the browser and back, each for one purpose and for some time."""

    def __init__(self, key_file: Path | None) -> None:
        """The key follows from the console's own: all replicas have the same, and a new one logs everybody out."""
        self._secret = key_file.read_bytes() if key_file else Fernet.generate_key()
        self._made: dict[str, Fernet] = {}

    def seal(self, value: object, purpose: str) -> str:
        """Encrypt a value; it fits a cookie and an address."""
        return self._fernet(purpose).encrypt(zlib.compress(msgspec.json.encode(value))).decode()

    def open(self, sealed: str | None, kind: type[T], purpose: str, seconds: int | None = None) -> T | None:
        """Return the value; None where it was not sealed here for this purpose, or longer ago than so many seconds."""
        try:
            return msgspec.json.decode(zlib.decompress(self._fernet(purpose).decrypt(sealed or "", seconds)), type=kind)
        except (InvalidToken, ValueError, zlib.error, msgspec.MsgspecError):
            return None

    def _fernet(self, purpose: str) -> Fernet:
        if purpose not in self._made:
            derived = HKDF(SHA256(), _KEY_BYTES, None, f"sliceline console: {purpose}".encode()).derive(self._secret)
            self._made[purpose] = Fernet(base64.urlsafe_b64encode(derived))
        return self._made[purpose]
