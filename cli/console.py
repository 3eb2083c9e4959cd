"""Talks to the person at the terminal."""

import sys
from typing import NoReturn

import typer
from rich.console import Console

# What is piped has no width of its own; tables keep their names whole then.
PIPED = 140

console = Console(width=None if sys.stdout.isatty() else PIPED)
errors = Console(stderr=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Say on standard error why it did not work, and end the command with the exit code."""
    errors.print(message, style="red" if errors.is_terminal else None, highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)
