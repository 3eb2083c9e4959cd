"""Draws the master key of an installation, once, and lets a new one take its place: `up` and the image use it.

While it does, the file has both keys, and services, which read it again every few seconds, know both: the first wraps
data keys, either unwraps them. Beside it lies the new one by itself, so that who is interrupted goes on with that.
"""

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

from backbone.values.sealed import KEY_BYTES
from deployment import drawing


def draw_once(path: Path) -> None:
    """Write a new master key, for its owner's eyes alone, where there is none yet; an interrupted start leaves none."""
    drawing.draw_once(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())


@dataclass(frozen=True)
class KeyFile:
    """Is the file with the master key. What it does is on the disk when it returns, and may be done again."""

    path: Path

    @property
    def keys(self) -> list[str]:
        """The keys in it, as they are written there: the first wraps."""
        return self.path.read_text().split()

    @property
    def next(self) -> Path:
        """Where the new key is until it is the only one."""
        return self.path.with_name(f"{self.path.name}.next")

    @property
    def retired(self) -> Path:
        """Where those are that were the master key before, the newest last: older backups need them."""
        return self.path.with_name(f"{self.path.name}.retired")

    def add_next(self) -> None:
        """Have services know a new key, which is drawn where there is none yet; nothing is wrapped with it."""
        draw_once(self.next)
        if self._drawn not in self.keys:
            self._write(self.path, [*self.keys, self._drawn])

    def prefer_next(self) -> None:
        """Have services wrap with the new key."""
        if self.keys[0] != self._drawn:
            self._write(self.path, [self._drawn, *self._others])

    def retire_others(self) -> None:
        """Leave nothing in the file but the new key; those before are put aside first."""
        known = self.retired.read_text().split() if self.retired.exists() else []
        self._write(self.retired, [*known, *(each for each in self._others if each not in known)])
        self._write(self.path, [self._drawn])
        self.next.unlink()

    @property
    def _drawn(self) -> str:
        return self.next.read_text().strip()

    @property
    def _others(self) -> list[str]:
        return [each for each in self.keys if each != self._drawn]

    def _write(self, path: Path, keys: list[str]) -> None:
        drawing.written(path, "".join(f"{each}\n" for each in keys)).replace(path)
        drawing.sync(path.parent)
