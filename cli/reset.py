"""./sliceline reset: begin with empty servers."""

import shutil
from typing import Annotated

import typer

from cli.console import console, fail
from local import HOME, state

# Downloaded jars stay: they are no data.
DATA = ("containers", "postgres", "passwords", "kafka", "objects", "logs")
FILES = ("password", "master-key", "master-key.next", "master-key.retired", "state.json", "provider-ledger.sqlite3")


def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete all local data: databases, topics, objects, logs, and the master key, without which no backup can be read.

    The next `up` begins anew.
    """
    try:
        with state.hold(HOME):
            if not yes:
                typer.confirm(
                    f"Delete all orders, stock, topics, objects, logs and the master key in {HOME}?", abort=True
                )
            _delete()
    except state.AlreadyRunning:
        fail("Sliceline is running. Stop it first: ./sliceline down")
    console.print("All local data is deleted. ./sliceline up begins anew.")


def _delete() -> None:
    from local import processes

    last = state.read(HOME)
    if last is not None:
        processes.end(last.leftovers())
    for name in DATA:
        shutil.rmtree(HOME / name, ignore_errors=True)
    for name in FILES:
        for path in HOME.glob(f"{name}*"):
            path.unlink()
