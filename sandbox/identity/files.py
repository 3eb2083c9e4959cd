"""Keeps files for their owner's eyes alone."""

import os
from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder that nobody else can look into; one that is there stays as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all, and onto the disk."""
    begun = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    begun.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
