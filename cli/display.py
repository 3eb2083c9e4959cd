"""Shows a run of `up`: as a table in a terminal, and line by line where there is none."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from local.state import RUNNING, STARTING, STOPPING, Row, State

MARKS = {
    "ready": ("✔", "green"),
    "waiting": ("·", "dim"),
    "restarting": ("↻", "yellow"),
    "stopping": ("…", "dim"),
    "stopped": ("■", "dim"),
    "failed": ("✘", "red"),
}
ABOUT = {
    "postgres": "PostgreSQL",
    "kafka": "Kafka",
    "tables": "databases, topics, tables",
    "identity": "who may come in (sandbox)",
    "provider": "payment provider (sandbox)",
    "mail": "mail sink (sandbox)",
    "console": "the shop in a browser",
    "robot": "kitchen staff and courier (sandbox)",
}


class Display:
    """Shows a state whenever told to: as a live table on a terminal, else one line per change."""

    def __init__(self, console: Console, hint: str, look: Callable[[State], str] | None = None) -> None:
        """`hint` is printed below the addresses once all is ready, and before it what `look` says of the state."""
        self._console = console
        self._hint = hint
        self._look = look
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._seen: dict[str, str] = {}
        self._announced = self._stopping = False
        self._spinner = Spinner("dots")
        self._began = time.monotonic()

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def show(self, state: State) -> None:
        if state.phase == RUNNING and not self._announced:
            self._announce(state)
        elif state.phase == STOPPING and not self._stopping:
            self._stopping = True
            self._console.print("Stopping …")
        elif self._live and state.phase == STARTING:
            self._live.update(self._progress(state), refresh=True)
        else:
            self._print_changes(state)

    def _announce(self, state: State) -> None:
        self._announced = True
        self._print_changes(state)
        if self._live:
            self._live.update(Text(), refresh=True)
            self._live.stop()
        seconds = time.monotonic() - self._began
        self._console.print(f"Everything is ready, after {seconds:.1f} s.\n", highlight=False)
        self._console.print(addresses(state))
        for note in state.notes:
            self._console.print(f"\n{note}", highlight=False, markup=False, soft_wrap=True)
        if self._look:
            self._console.print(f"\n{self._look(state)}", highlight=False, markup=False, soft_wrap=True)
        self._console.print(f"\n{first_steps(state)}\n\n{self._hint}", highlight=False, soft_wrap=True)

    def _progress(self, state: State) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for row in state.rows.values():
            table.add_row(self._mark(row), row.name, self._detail(row))
        ready = sum(row.state == "ready" for row in state.rows.values())
        seconds = time.monotonic() - self._began
        bar = ProgressBar(total=max(1, len(state.rows)), completed=ready, width=40)
        total = Table.grid(padding=(0, 2))
        total.add_row(bar, f"{ready} of {len(state.rows)} ready, {seconds:.0f} s")
        return Group(table, Text(), total)

    def _mark(self, row: Row) -> RenderableType:
        return Text(*MARKS[row.state]) if row.state in MARKS else self._spinner

    def _detail(self, row: Row) -> RenderableType:
        if not row.total:
            return Text(row.detail or ABOUT.get(row.name, row.state), style="dim", no_wrap=True)
        grid = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=row.total, completed=row.done, width=30)
        grid.add_row(bar, f"{row.detail} {row.done} of {row.total}")
        return grid

    def _print_changes(self, state: State) -> None:
        for row in state.rows.values():
            known = self._seen.get(row.name, "waiting")
            self._seen[row.name] = row.state
            if known != row.state and self._is_news(row.state, known):
                self._console.print(f"{row.name}: {row.state} {row.detail}".rstrip(), highlight=False)

    def _is_news(self, now: str, before: str) -> bool:
        """Tell whether to print a change: on a terminal, which showed the start, only breaks and recoveries."""
        return not self._live or now in ("restarting", "failed") or (now == "ready" and before != "waiting")


def addresses(state: State) -> Table:
    """Make the table of where to find everything."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for title in ("", "address", "what"):
        table.add_column(title, style="" if title else "bold", no_wrap=title == "address")
    for row in state.rows.values():
        if row.address:
            table.add_row(row.name, row.address, ABOUT.get(row.name, f"{row.address}/docs"))
    return table


def first_steps(state: State) -> str:
    """Return the first commands to try, ready to be pasted."""
    orders = state.rows["orders"].address
    token = "$SLICELINE_TOKEN" if state.issuer else "$(./sliceline token)" if "identity" in state.rows else ""
    let_in = f'--oauth2-bearer "{token}" ' if token else ""
    body = (
        '{"customer": {"id": "ada", "name": "Ada", "email": "ada@example.com"}, "currency": "GBP",\n'
        '       "fulfilment": "delivery", "address": "1 Mill Lane",\n'
        '       "lines": [{"item": "margherita", "quantity": 2}]}'
    )
    return (
        "Order two pizzas and watch them travel:\n\n"
        f"  curl -i {let_in}{orders}/orders -H 'content-type: application/json' \\\n    -d '{body}'\n\n"
        "or, the same in one command:  ./sliceline order margherita:2 --follow"
    )
