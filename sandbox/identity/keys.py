"""Holds the keys that tokens are signed with; a key that was replaced is shown until its last token has expired."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import DictKey, ECKey, KeySet
from pydantic import BaseModel

from sandbox.identity.errors import Unusable
from sandbox.identity.files import make_private, write_private

Clock = Callable[[], float]
ALGORITHM = "ES256"


class StoredKey(BaseModel):
    """Is a private key, how long its longest tokens last and, once it is replaced, until when it is shown."""

    jwk: dict[str, str]
    seconds: int
    until: float | None = None

    @property
    def key(self) -> ECKey:
        return ECKey.import_key(dict(self.jwk))


class StoredKeys(BaseModel):
    keys: list[StoredKey]


class SigningKeys:
    """Signs with its newest key; all of them lie in one file, so that a restart changes nothing."""

    def __init__(self, folder: Path, seconds: int, clock: Clock = time.time) -> None:
        self._path, self._seconds, self._clock = folder / "keys.json", seconds, clock
        make_private(folder)
        self._keys = self._load()
        if not self._keys:
            self.rotate()
        elif self._current.seconds < seconds:
            self._current.seconds = seconds
            self._save()

    @property
    def _current(self) -> StoredKey:
        return self._keys[-1]

    def rotate(self) -> str:
        """Sign with a new key from now on, and return its id."""
        now = self._clock()
        key = ECKey.generate_key("P-256", auto_kid=True)
        kept = [each for each in self._keys if each.until is None or each.until > now]
        for each in kept:
            each.until = each.until or now + each.seconds
        self._keys = [*kept, StoredKey(jwk=json.loads(json.dumps(key.as_dict(private=True))), seconds=self._seconds)]
        self._save()
        return self._current.jwk["kid"]

    def sign(self, kind: str, claims: dict[str, Any]) -> str:
        key = self._current.key
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": kind}
        return jwt.encode(header, claims, key, algorithms=[ALGORITHM])

    def shown(self) -> KeySet:
        """Return every key under which a token may still be valid."""
        now = self._clock()
        return KeySet([each.key for each in self._keys if each.until is None or each.until > now])

    def public(self) -> dict[str, list[DictKey]]:
        """Return the JWKS that others verify tokens with."""
        return {"keys": [key.as_dict(private=False, use="sig", alg=ALGORITHM) for key in self.shown()]}

    def _load(self) -> list[StoredKey]:
        if not self._path.exists():
            return []
        try:
            stored = StoredKeys.model_validate_json(self._path.read_bytes()).keys
            KeySet([each.key for each in stored])
        except (ValueError, JoseError) as error:
            wrong = f"{self._path} holds no keys of ours: put the right file back, or remove it to have a new key drawn"
            raise Unusable(wrong) from error
        return stored

    def _save(self) -> None:
        write_private(self._path, StoredKeys(keys=self._keys).model_dump_json())
