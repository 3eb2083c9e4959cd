"""Talking to the person at the terminal."""

from typing import NoReturn

import typer
from rich.console import Console

console = Console()
errors = Console(stderr=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Says on standard error why it did not work, and ends the command."""
    errors.print(message, style="red" if errors.is_terminal else None, highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)
