"""./sliceline bench: measure how fast we are beside what a user would pick instead."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import console, errors, fail
from cli.ending import ended_gently

if TYPE_CHECKING:
    from rich.table import Table

    from bench.result import Results, Row
    from bench.run import Watch

NAMES = (
    "[accept|relay|consume|latency|flow|growth|start|rush|burst|"
    "reminders|rules|export|reviews|archive|replay|redrive|contracts|doors|reading|looking]..."
)


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar=NAMES, help="Which to run; all by default.", show_default=False)
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object per figure instead.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Measure briefly: under a minute each, less exact.")] = False,
) -> None:
    """Measure us and others side by side, on a Postgres and a Kafka of its own.

    A ratio above its goal is good, also where less is better. Everything measured goes to .sliceline/bench/.
    """
    from bench.run import BENCHES, run, write
    from bench.stage import FOLDER, Scale
    from local.program import NotReady

    chosen = names or list(BENCHES)
    if unknown := [name for name in chosen if name not in BENCHES]:
        fail(f"There is no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}.")
    try:
        with ended_gently(), _watch(len(chosen), json_lines) as watch:
            found = run(chosen, Scale(quick), watch)
    except KeyboardInterrupt:
        fail("Stopped; nothing is left running.", code=130)
    except (RuntimeError, NotReady, TimeoutError) as error:
        fail(f"{type(error).__name__}: {error}\nThe logs are in {FOLDER / 'failed'}.")
    for path in write(found, Scale(quick)):
        errors.print(f"Written: {path}", highlight=False, soft_wrap=True)


@contextmanager
def _watch(total: int, json_lines: bool) -> Iterator["Watch"]:
    """Show a progress bar on standard error, and each bench's figures on standard output after it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from bench.run import Watch

    words = TextColumn("{task.description}", style="bold"), TextColumn("{task.fields[step]}", style="dim")
    with Progress(words[0], BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), words[1], console=errors) as bar:
        task = bar.add_task("bench", total=total, step="")

        def done(name: str, results: "Results") -> None:
            bar.advance(task)
            show = _print_lines if json_lines else _print_table
            show(name, results)

        yield Watch(
            begin=lambda name: bar.update(task, description=name, step=""),
            tell=lambda step: bar.update(task, step=step),
            done=done,
        )


def _print_lines(_name: str, results: "Results") -> None:
    for row in results.rows:
        sys.stdout.write(row.line() + "\n")
    sys.stdout.flush()


def _print_table(name: str, results: "Results") -> None:
    console.print(_table(name, results.rows))
    for note in results.notes:
        console.print(f"  {note}", style="dim", highlight=False)


def _table(name: str, rows: "list[Row]") -> "Table":
    from rich.table import Table

    from bench.result import short

    table = Table(title=name, title_justify="left")
    for heading in ("case", "ours", "against", "theirs", "unit", "ratio", "goal", ""):
        table.add_column(heading, justify="right" if heading in ("ours", "theirs", "ratio", "goal") else "left")
    for row in rows:
        goal = "" if row.goal is None else f"{short(row.goal)}×"
        mark = {True: "[green]✔[/]", False: "[red]✘[/]", None: ""}[row.reached]
        figures = short(row.ours), row.peer, short(row.theirs), row.unit, f"{short(row.ratio)}×", goal
        table.add_row(row.case, *figures, mark)
    return table
