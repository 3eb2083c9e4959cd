"""./sliceline test: the tests, in this environment."""

import os
import sys

import typer

from local import ROOT

# The two halves of all tests side by side: tests/conftest.py says what goes together.
ALL = ("--numprocesses=2", "--dist=loadgroup")


def test(context: typer.Context) -> None:
    """Run the tests; whatever follows goes to pytest. They start servers of their own on free ports.

    SLICELINE_TEST_SERVERS=docker or local chooses which; unset, Docker is used where an engine answers.
    """
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "pytest", *(context.args or ALL)])  # noqa: S606 (our command)
