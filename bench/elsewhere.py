"""Runs ./sliceline with its data somewhere else: `python -m bench.elsewhere DIRECTORY up …`."""

import runpy
import sys
from pathlib import Path

import local


def main() -> None:
    """Set the data directory, then run the command line as it is: it reads the directory once, when it is loaded."""
    local.HOME = Path(sys.argv[1])
    del sys.argv[1]
    runpy.run_module("cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
