"""Tells failures of one cause from others: the fingerprint of an error, its own frames, and the paths it names."""

import re
import traceback
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from backbone.consuming.batch import printable
from backbone.events.contracts import ContractBroken
from backbone.running.pulse import describe

_ROOT = Path(__file__).resolve().parents[2]
_ELSEWHERE = {"site-packages", "dist-packages", ".venv"}
_MOST_FRAMES = 30

# What differs from one event to the next where the cause is one: ids, addresses, numbers, and whatever is quoted.
_DIFFERS = re.compile(
    r"""
    '[^']*' | "[^"]*" | «[^»]*»
    | [^\s@]+@[^\s@]+
    | \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b
    | \b(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b
    | \d+(?:[.,:]\d+)*
    """,
    re.VERBOSE,
)
_AT = re.compile(r" - at `\$\.?(.*)`$")  # how msgspec ends its message
_INDEX = re.compile(r"\[(\d+|\.\.\.)\]")


class Frame(msgspec.Struct, frozen=True):
    """Is one line of our own code through which an error came."""

    file: str
    line: int
    function: str
    code: str

    @property
    def where(self) -> str:
        """Name the function; its line moves with every release."""
        return f"{self.file} {self.function}"


class Failure(msgspec.Struct, frozen=True):
    """Holds what a dead letter keeps of the error that parked it."""

    error: str
    fingerprint: str
    frames: list[Frame]
    failing: list[tuple[str, str]]
    """Where in the data, and what is wrong there; empty where the error names no place."""


def failure_of(error: BaseException, event_type: str | None) -> Failure:
    """Describe the failure of an event of this type; it has the fingerprint of all that fail for the same reason."""
    frames, said = own_frames(error), describe(error)
    parts = (event_type or "", type(error).__name__, first_own(frames), without_ids(said))
    fingerprint = sha256("\n".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:12]
    failing = [(printable(path), printable(message)) for path, message in failing_paths(error)]
    return Failure(printable(said), fingerprint, frames, failing)


def without_ids(message: str) -> str:
    """Return a message without what makes it that of one event."""
    return _DIFFERS.sub("…", message)


def own_frames(error: BaseException) -> list[Frame]:
    """Return the frames of our code that an error came through, the innermost last."""
    found = [_frame(each) for each in traceback.extract_tb(error.__traceback__)]
    return [frame for frame in found if frame is not None][-_MOST_FRAMES:]


def failing_paths(error: BaseException) -> list[tuple[str, str]]:
    """Return where in the data an error is, and what is wrong there, where it says so."""
    if isinstance(error, ContractBroken):
        return list(error.errors)
    found = _AT.search(str(error))
    if found is None:
        return []
    path = _INDEX.sub(lambda index: f".{index[1]}", found[1]).strip(".")
    return [(path, str(error)[: found.start()])]


def _frame(summary: traceback.FrameSummary) -> Frame | None:
    path = Path(summary.filename)
    if not path.is_relative_to(_ROOT):
        return None
    inside = path.relative_to(_ROOT)
    if _ELSEWHERE & set(inside.parts):
        return None
    return Frame(inside.as_posix(), summary.lineno or 0, summary.name, printable((summary.line or "").strip()))


def first_own(frames: Sequence[Frame]) -> str:
    """Name the innermost function of a service; of the backbone where no service had a hand in it."""
    of_services = [frame for frame in frames if not frame.file.startswith("backbone/")]
    return next((frame.where for frame in reversed(of_services or frames)), "")
