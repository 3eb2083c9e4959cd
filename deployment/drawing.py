"""Draws the secrets of an installation, each once: `up` and the container image use it."""

import os
from pathlib import Path


def draw_once(path: Path, text: str) -> None:
    """Write a secret, for its owner's eyes alone, where there is none yet; an interrupted start leaves none."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = written(path, f"{text}\n")
    try:
        os.link(begun, path)  # of two that begin at the same moment one is first, and both go on with its secret
    except FileExistsError:
        pass
    finally:
        begun.unlink()
    sync(path.parent)


def written(path: Path, text: str) -> Path:
    """Write a file for its owner's eyes alone, which is then to be put in the place of `path`."""
    begun = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return begun


def sync(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
