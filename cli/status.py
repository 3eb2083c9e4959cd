"""./sliceline status: where everything is and how it does."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cli.console import console
from cli.running import Shop, answers, find
from local import probes, processes, state
from local.state import Row
from services import CATALOGUE

# What is parked, each counted up to the largest page of a list.
PARKED = ("/dead-letters?limit=200", "/jobs?state=parked&limit=200")


@dataclass(frozen=True)
class Health:
    """One line of the status; parked counts dead letters and jobs given up, None where there is nobody to ask."""

    name: str
    healthy: bool
    state: str
    address: str
    port: int | None
    pid: int | None
    restarts: int
    parked: int | None


def status(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one JSON object on standard output.")] = False,
) -> None:
    """Show addresses, processes and health. The exit code is 1 when something is not healthy or nothing runs.

    A shop in containers is asked on its published ports; what it does not publish, the robot, cannot be seen.
    """
    shop = find()
    rows = _healths(shop)
    phase = shop.phase if shop else state.STOPPED
    healthy = phase == state.RUNNING and all(row.healthy for row in rows)
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
    # The tables are a step of starting, not a process.
    rows = [row for name, row in shop.rows.items() if name != "tables"]
    with ThreadPoolExecutor(len(rows) or 1) as pool:
        return list(pool.map(lambda row: _health(row, shop.in_containers or _is_alive(row)), rows))


def _is_alive(row: Row) -> bool:
    identity = row.identity()
    return identity is not None and processes.is_alive(identity)


def _health(row: Row, alive: bool) -> Health:
    healthy = alive and row.state == "ready" and answers(row)
    shown = "unhealthy" if row.state == "ready" and not healthy else row.state
    parked = _parked(row) if alive and row.name in CATALOGUE else None
    return Health(row.name, healthy, shown, row.address, row.port, row.pid, row.restarts, parked)


def _parked(row: Row) -> int | None:
    """How many events and jobs wait parked."""
    answers: list[Any] = [probes.get_json(row.port, path) for path in PARKED] if row.port else [None]
    return None if None in answers else sum(len(answer["items"]) for answer in answers)


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
    if any(row.parked for row in rows):
        console.print("\nParked events and jobs wait for a fix; then: ./sliceline redrive SERVICE")
