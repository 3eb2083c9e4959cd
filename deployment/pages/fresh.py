"""Tells whether the catalogue has to be built anew. Standard library only: `up` asks at each start."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "catalogue"
SOURCES = ("schemas", "services", "deployment", "backbone/events")
LAST = "asyncapi.json"
"""The file that a build writes last."""


def is_fresh(folder: Path = FOLDER, root: Path = ROOT) -> bool:
    """Tell whether the folder is newer than every file that it is made from."""
    last = folder / LAST
    return last.exists() and last.stat().st_mtime > max(each.stat().st_mtime for each in _sources(root))


def _sources(root: Path) -> Iterator[Path]:
    yield root / "buses.toml"
    for name in SOURCES:
        yield from (each for each in (root / name).rglob("*.*") if each.is_file() and each.suffix != ".pyc")
