"""./sliceline reset: begin with empty servers."""

import shutil
from typing import Annotated

import typer

from cli.console import console, fail
from deployment.people import guests
from local import HOME, state

# Downloaded jars stay: they are no data.
DATA = ("containers", "postgres", "passwords", "kafka", "objects", "logs")
FILES = ("password", "master-key", "master-key.next", "master-key.retired", "state.json", "provider-ledger.sqlite3")
KEPT = {
    "identity": "the passwords of people and the keys of programs",
    **{name: f"the database of {name}, which is none of the shop's" for name in guests()},
}


def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete the shop's data: databases, topics, objects, logs, and the master key, without which no backup is read.

    The next `up` begins anew. Passwords of people and keys of programs stay, and so does what outside partners have.
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
    console.print("The shop's data is deleted. ./sliceline up begins anew.", highlight=False)
    for name, what in KEPT.items():
        if (HOME / name).exists():
            console.print(f"Kept: {what} ({HOME.name}/{name}).", highlight=False, markup=False, soft_wrap=True)


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
