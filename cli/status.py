"""./sliceline status: show where everything is, how it does, what waits, and what needs a person."""

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import console
from cli.running import Shop, answers, find
from local import probes, processes, state
from local.state import Row
from services import CATALOGUE

if TYPE_CHECKING:
    import httpx

UNKNOWN = "what waits there is not known: "
SILENT = f"{UNKNOWN}/backlog does not answer"
PATIENCE = 2.0
"""Seconds that a service may take to say it."""


@dataclass(frozen=True)
class Health:
    """Describes one process in the status.

    `healthy` says whether the process does its work, and `waiting`, by its parts, what it waits for. `needs` says in
    sentences what does not go on without a person. `parked` counts dead letters and jobs given up. `backlog` is the
    service's answer at /backlog; None where there is nobody to ask.
    """

    name: str
    healthy: bool
    state: str
    address: str
    port: int | None
    pid: int | None
    restarts: int
    waiting: dict[str, str]
    parked: int | None
    needs: list[str]
    backlog: dict[str, Any] | None


def status(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one JSON object on standard output.")] = False,
) -> None:
    """Show addresses, processes, health and what waits.

    The exit code is 1 when something is not healthy, when work needs a person, or when nothing runs. What is parked
    needs one, and so does what has failed or waited with nobody at it for a minute; a queue that moves does not.

    A shop in containers is asked on its published ports; what it does not publish, the robot, cannot be seen.
    """
    shop = find()
    rows = _healths(shop)
    phase = shop.phase if shop else state.STOPPED
    healthy = phase == state.RUNNING and all(row.healthy and not row.needs for row in rows)
    if as_json:
        document = {
            "phase": phase,
            "containers": shop is not None and shop.in_containers,
            "healthy": healthy,
            "processes": {row.name: _as_json(row) for row in rows},
        }
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(f"{phase} in containers" if shop and shop.in_containers else phase, rows)
    raise typer.Exit(0 if healthy else 1)


def _healths(shop: Shop | None) -> list[Health]:
    if shop is None:
        return []
    from cli.asking import opened

    # The tables are a step of starting, not a process.
    rows = [row for name, row in shop.rows.items() if name != "tables"]
    with ThreadPoolExecutor(len(rows) or 1) as pool, opened(timeout=PATIENCE) as client:
        return list(pool.map(lambda row: _health(row, shop.in_containers or _is_alive(row), client), rows))


def _is_alive(row: Row) -> bool:
    identity = row.identity()
    return identity is not None and processes.is_alive(identity)


def _health(row: Row, alive: bool, client: "httpx.Client") -> Health:
    healthy = alive and row.state == "ready" and answers(row)
    shown = "unhealthy" if row.state == "ready" and not healthy else row.state
    backlog, silent = _backlog(row, client) if alive and row.port and row.name in CATALOGUE else (None, SILENT)
    unknown = [silent] if healthy and row.name in CATALOGUE else []
    needs = backlog["needs"] if backlog else unknown
    parked = _parked(backlog) if backlog else None
    waiting = {} if healthy or row.state != "ready" or row.name not in CATALOGUE else _waiting(row)
    return Health(
        row.name, healthy, shown, row.address, row.port, row.pid, row.restarts, waiting, parked, needs, backlog
    )


def _backlog(row: Row, client: "httpx.Client") -> tuple[dict[str, Any] | None, str]:
    """Return what a service says that waits there, or None and why that is not known."""
    import httpx

    from cli.login import NotLetIn

    try:
        return client.get(f"{row.address}/backlog").raise_for_status().json(), ""
    except NotLetIn as refused:
        return None, f"{UNKNOWN}{refused}"
    except (httpx.HTTPError, ValueError):
        return None, SILENT


def _waiting(row: Row) -> dict[str, str]:
    """Return what a service that is not ready waits for, as it says itself, by its parts."""
    problem = probes.get_json(row.port, "/health/ready", HTTPStatus.SERVICE_UNAVAILABLE) if row.port else None
    return problem["waiting"] if problem else {"process": "does not answer"}


def _parked(backlog: dict[str, Any]) -> int:
    """Count the parked events and jobs."""
    return int(backlog["parked"]["events"] + sum(jobs["given_up"] for jobs in backlog["jobs"]))


def _queues(backlog: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each queue that waits its turn, whether it needs a person or not."""
    outbox = backlog["outbox"]
    if outbox["waiting"]:
        yield f"{outbox['waiting']} in the outbox since {_time(outbox['since'])}"
    for jobs in backlog["jobs"]:
        if jobs["due"]:
            yield f"{jobs['due']} {jobs['kind']} due since {_time(jobs['due_since'])}, {jobs['in_hand']} in hand"
        if jobs["failing"]:
            since, error = _time(jobs["failing_since"]), jobs["failing_error"]
            yield f"{jobs['failing']} {jobs['kind']} failing since {since}: {error}"
        if jobs["rests_since"]:
            since, until = _time(jobs["rests_since"]), _time(jobs["rests_until"])
            yield f"{jobs['kind']} jobs rest since {since}, one is tried at {until}"


def _time(moment: str) -> str:
    """Return the time of day in UTC, of a moment in ISO 8601."""
    return f"{moment[11:19]}Z"


def _as_json(health: Health) -> dict[str, Any]:
    return {name: value for name, value in vars(health).items() if name != "name"}


def _print(phase: str, rows: list[Health]) -> None:
    from rich.table import Table

    if not rows:
        console.print("Sliceline is not running. Start it with: ./sliceline up")
        return
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for title in ("", "state", "address", "pid", "restarts", "parked"):
        table.add_column(title, no_wrap=title != "state")
    for row in rows:
        colour = "green" if row.healthy else "red"
        numbers = [str(value) if value is not None else "" for value in (row.pid, row.restarts, row.parked)]
        table.add_row(row.name, f"[{colour}]{row.state}[/]", row.address, *numbers)
    console.print(f"Sliceline is {phase}.\n")
    console.print(table)
    waits = {row.name: (f"{part}: {said}" for part, said in row.waiting.items()) for row in rows}
    _print_lines("Not ready:", waits, style="red")
    _print_lines("Waiting:", {row.name: _queues(row.backlog) for row in rows if row.backlog})
    _print_lines("This needs a person:", {row.name: row.needs for row in rows}, style="red")
    if any(row.parked for row in rows):
        console.print("\nParked events and jobs wait for a fix; then: ./sliceline redrive SERVICE")


def _print_lines(title: str, said: Mapping[str, Iterable[str]], style: str | None = None) -> None:
    lines = [f"{name}: {line}" for name, each in said.items() for line in each]
    for line in ["", title, *lines] if lines else []:
        console.print(line, style=style if line in lines else None, highlight=False, markup=False, soft_wrap=True)
