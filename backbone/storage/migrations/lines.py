"""Reads the line of migrations in a folder, and checks it before anything is done with it."""

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from alembic.util import load_python_file

from backbone.errors import SlicelineError
from backbone.running.pulse import describe

Line = dict[str, str]
"""Each revision's file, in their order."""


class BrokenLine(SlicelineError):
    """The files of a folder are no line of migrations."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


def read_lines(folders: Iterable[Path]) -> list[Line]:
    """Read each folder's numbered files, of which each names the one before it. Raises BrokenLine, naming the file."""
    taken: Line = {}
    return [line for folder in folders if (line := _read_line(folder, taken))]


def _read_line(folder: Path, taken: Line) -> Line:
    line: Line = {}
    before = None
    for path in sorted(folder.glob("*.py")):
        if path.name == "__init__.py":
            continue
        module = _load(path)
        if reason := _objection(module, taken, before):
            raise BrokenLine(path.name, reason)
        before = module.revision
        line[before] = taken[before] = path.name
    return line


def _load(path: Path) -> ModuleType:
    try:
        return load_python_file(path.parent, path.name)
    except Exception as error:  # whatever a file may do when it is loaded
        raise BrokenLine(path.name, describe(error)) from error


def _objection(module: ModuleType, taken: Line, before: str | None) -> str | None:
    revision, down = getattr(module, "revision", None), getattr(module, "down_revision", None)
    if not isinstance(revision, str):
        return "it names no revision"
    if revision in taken:
        return f"its revision {revision!r} is that of {taken[revision]} already"
    if down != before:
        follows = f"it follows {taken[before]}" if before else "it is the first"
        return f"its down_revision is {down!r}; {follows}, so {before!r} is expected"
    if not callable(getattr(module, "upgrade", None)):
        return "it has no upgrade()"
    return None
