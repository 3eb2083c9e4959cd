"""Knows people by their passwords, each a file, and makes guessing them slow."""

import hmac
import logging
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from sandbox.identity.files import make_private, write_private
from sandbox.identity.keys import Clock

log = logging.getLogger("identity")
MOST_FAILURES = 10
SHUT_SECONDS = 60.0
REMEMBERED = 10_000


class Passwords:
    """Compares with `people/<sub>/password`, which is read each time, so that a password may be exchanged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "people"
        self._nobodys = secrets.token_urlsafe(18)

    def draw(self, subs: Iterable[str]) -> None:
        """Draw a password for each person who has none."""
        for sub in subs:
            path = self._path(sub)
            if not path.exists():
                make_private(self._folder)
                make_private(path.parent)
                write_private(path, secrets.token_urlsafe(18) + "\n")

    def matches(self, sub: str | None, password: str) -> bool:
        """Tell whether it is that person's password; for nobody (None) this takes as long, and is never true."""
        right = self._nobodys if sub is None else self._read(sub)
        same = hmac.compare_digest(right.encode(), password.encode())
        return same and sub is not None and bool(right)

    def _read(self, sub: str) -> str:
        """Return a person's password; nothing, which matches nothing, where its file cannot be read."""
        try:
            return self._path(sub).read_text().strip()
        except (OSError, UnicodeDecodeError):
            log.warning("the password of %s cannot be read from %s", sub, self._path(sub))
            return ""

    def _path(self, sub: str) -> Path:
        return self._folder / sub / "password"


@dataclass
class Failures:
    count: int = 0
    shut_until: float = 0.0


class Attempts:
    """Counts failures in a row under each name, of people or of nobody, and shuts a name out after too many."""

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._failures: dict[str, Failures] = {}

    def wait(self, name: str) -> int:
        """Return for how many seconds nobody may try that name; 0 when one may."""
        failures = self._failures.get(name)
        return max(0, ceil(failures.shut_until - self._clock())) if failures else 0

    def failed(self, name: str) -> None:
        failures = self._failures.setdefault(name, Failures())
        failures.count += 1
        if failures.count >= MOST_FAILURES:
            failures.count, failures.shut_until = 0, self._clock() + SHUT_SECONDS
        if len(self._failures) > REMEMBERED:
            del self._failures[next(iter(self._failures))]

    def succeeded(self, name: str) -> None:
        self._failures.pop(name, None)
