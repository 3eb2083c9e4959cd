"""./sliceline new: make a service that starts, with its tests, its page and its place in every list."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import console, fail

if TYPE_CHECKING:
    from cli.making.wanted import Wanted


class Kind(StrEnum):
    """Names what can be made."""

    SERVICE = "service"


def new(
    kind: Annotated[Kind, typer.Argument(metavar="service", help="What to make.")],  # noqa: ARG001  there is one kind
    name: Annotated[str, typer.Argument(help="What to call it: lower-case letters and digits.")],
    reads: Annotated[
        list[str] | None,
        typer.Option("--reads", metavar="TYPE...", help="The events it reads: order-completed …", show_default=False),
    ] = None,
    publishes: Annotated[
        list[str] | None,
        typer.Option("--publishes", metavar="EVENT...", help="What it publishes: rating-given …", show_default=False),
    ] = None,
) -> None:
    """Make a service, complete: code, table, tests, page, contracts, and its place in catalogue, compose and docs.

    For example ./sliceline new service ratings --reads order-completed order-rejected --publishes rating-given

    It adds up what it reads and shows the totals; a command publishes what it says. Change it from there. An event is
    named by its type (sliceline.orders.order-completed.v1) or by as much of it as tells it from others.
    """
    from cli.making.stage import NotMade
    from cli.making.wanted import Unwanted, wanted

    try:
        service = wanted(name, reads or [], publishes or [])
        files = _make(service)
    except Unwanted as error:
        fail(str(error), code=2)
    except (NotMade, OSError) as error:
        fail(f"Nothing is made. {error}")
    _tell(service, files)


def _make(service: "Wanted") -> list[str]:
    from cli.making.lists import edited
    from cli.making.stage import changes, put_in_place, stage
    from cli.making.texts import files_of
    from local import HOME, ROOT

    texts = files_of(service)
    if there := [path for path in texts if (ROOT / path).exists()]:
        fail(f"Nothing is made: {', '.join(there)} would be overwritten.")
    with console.status(f"Making {service.name} …"), stage(ROOT, HOME, {**texts, **edited(ROOT, service)}) as copy:
        files = changes(ROOT, copy)
        put_in_place(ROOT, copy, files)
    return files


def _curl(role: str) -> str:
    return f'curl -s --oauth2-bearer "$(./sliceline token --as {role})"'


def _tell(service: "Wanted", files: list[str]) -> None:
    from local import HOME, state

    name, tests = service.name, [path for path in files if Path(path).name.startswith("test_")]
    start = "./sliceline down && ./sliceline up" if state.is_running(HOME) else "./sliceline up"
    lines = [
        f"{name} is made; these files are new or changed:\n",
        *(f"  {path}" for path in files),
        "\nWhat it does with an event is decided in "
        f"services/{name}/decisions.py; what it uses of it stands in events.py. Next:\n",
        f"  ./sliceline test {' '.join(tests)}",
        f"  {start}",
        f"  {_curl('reader')} localhost:{service.port}/{name}",
        *(f"  {_curl('operator')} -X POST localhost:{service.port}/{name}/NAME/{event}" for event in service.publishes),
        "\nIt reads all that its topics hold, for it does nothing outside. If it has jobs at its first start, it "
        "begins\nat the newest event instead (reads_old_events in its service.py says otherwise).",
        "\n./sliceline contracts, after each change of what it reads.",
    ]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
