"""./sliceline logs: show what a process said."""

import time
from pathlib import Path
from typing import Annotated

import typer

from cli.console import fail
from cli.running import compose, find
from local import HOME
from local.program import last_lines


def logs(
    service: Annotated[str, typer.Argument(help="A service, or postgres, kafka, provider, mail, robot.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what it says from now on.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 100,
) -> None:
    """Show the log of one process, of this folder's shop or of the one in containers."""
    if (shop := find()) and shop.in_containers:
        compose("logs", "--no-log-prefix", f"--tail={lines}", *(["--follow"] if follow else []), service)
    log = HOME / "logs" / f"{service}.log"
    known = sorted(path.stem for path in (HOME / "logs").glob("*.log"))
    if service not in known:
        there_are = f"There are: {', '.join(known)}." if known else "Nothing has run yet: ./sliceline up"
        fail(f"There is no log of '{service}'. {there_are}", code=2)
    end = log.stat().st_size
    for line in last_lines(log, lines):
        typer.echo(line)
    if follow:
        _follow(log, end)


def _follow(log: Path, position: int) -> None:
    try:
        while True:
            position = _print_from(log, position)
            time.sleep(0.2)
    except KeyboardInterrupt:
        return


def _print_from(log: Path, position: int) -> int:
    """Print what came after the position; a log that shrank was rotated and is read from its start."""
    if log.stat().st_size < position:
        position = 0
    with log.open("rb") as file:
        file.seek(position)
        typer.echo(file.read(), nl=False)
        return file.tell()
