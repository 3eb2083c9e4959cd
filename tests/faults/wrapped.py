"""Runs a service as it is, but for wrappers around some of its functions: `python -m tests.faults.wrapped SERVICE`.

CHAOS_FOLDER is where the harness writes what this process shall do: `NAME.armed` the point to die at, `NAME.clock` by
how many seconds its clock is wrong. NAME is CHAOS_NAME: replicas of a service have names of their own.
"""

import os
import sys
from datetime import timedelta
from importlib import import_module
from pathlib import Path

from backbone.process import run
from tests.clocks import jumping
from tests.faults import points, taps


def main() -> None:
    """Wrap what must be, and run."""
    service = import_module(f"services.{sys.argv.pop(1)}.service").SERVICE
    told = Path(os.environ["CHAOS_FOLDER"]) / os.environ["CHAOS_NAME"]
    points.lay(setattr, points.dying_when_armed(told.with_suffix(".armed")))
    taps.note_effects(setattr)
    jumping(lambda: timedelta(seconds=_seconds(told.with_suffix(".clock"))), setattr)
    run(service)


def _seconds(file: Path) -> float:
    try:
        return float(file.read_text())
    except (FileNotFoundError, ValueError):  # none, or half written
        return 0.0


if __name__ == "__main__":
    main()
