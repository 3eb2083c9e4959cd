"""./sliceline with its data somewhere else: `python -m bench.elsewhere DIRECTORY up …`."""

import sys
from pathlib import Path

import local


def main() -> None:
    local.HOME = Path(sys.argv[1])
    # Only now: what is imported here takes the directory over.
    from cli.__main__ import app

    app(sys.argv[2:], prog_name="./sliceline")


if __name__ == "__main__":
    main()
