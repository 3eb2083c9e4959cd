"""./sliceline test: run the tests, in this environment."""

import os
import sys

import typer

from local import ROOT

# All tests side by side: tests/conftest.py says what goes together. Half of their time they wait for something, so that
# three processes keep two processors busy.
ALL = ("--numprocesses=3", "--dist=loadscope", "--no-loadscope-reorder")


def test(context: typer.Context) -> None:
    """Run all tests, in three processes side by side. They start servers of their own on free ports.

    `./sliceline test --cov` also measures what they reach, and `./sliceline test "-mnot unit"` leaves some out by their
    marks. Whatever else follows goes to pytest instead:
    `./sliceline test tests/unit`, `./sliceline test -k cancel -x`.
    SLICELINE_TEST_SERVERS=docker or local chooses which; unset, Docker is used where an engine answers.
    """
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "pytest", *for_pytest(context.args)])  # noqa: S606 (our command)


def for_pytest(given: list[str]) -> list[str]:
    """Add the options that run all tests in three processes, unless more is asked than coverage or some marks."""
    return [*ALL, *given] if all(each.startswith("--cov") or _is_marks(each) for each in given) else given


def _is_marks(argument: str) -> bool:
    return argument.startswith("-m") and len(argument) > len("-m")
