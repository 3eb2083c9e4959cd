"""Draws the master key of an installation, once: `up` and the container image use it."""

import base64
import os
import secrets
from pathlib import Path

from backbone.values.sealed import KEY_BYTES


def draw_once(path: Path) -> None:
    """Write a new master key, for its owner's eyes alone, where there is none yet; an interrupted start leaves none."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(begun, path)  # of two that begin at the same moment one is first, and both go on with its key
    except FileExistsError:
        pass
    finally:
        begun.unlink()
