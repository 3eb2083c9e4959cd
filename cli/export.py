"""./sliceline export: write events as Parquet, for whoever wants to ask questions of many."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backbone.storage import objects
from backbone.values.brokers import Brokers
from cli.console import console, errors, fail
from cli.ending import ended_gently
from cli.exported import kafka
from cli.moments import moment_of
from local.layout import layout_for

if TYPE_CHECKING:
    from cli.exporting.run import Result


def export(
    to: Annotated[Path, typer.Option("--to", help="The folder to write to, made if need be.", file_okay=False)],
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Only what happened from this day or time on, in UTC unless it has a zone: 2026-11-20. Else all.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write events as Parquet files by day and type, each once, for DuckDB, pandas or Spark (docs/analytics.md).

    The same command again adds what is new since, and goes on where it was stopped or killed. With SLICELINE_KAFKA
    (host:port) set, that Kafka is read, and no shop has to run here.
    """
    wanted = moment_of("--since", since) if since is not None else None
    address = kafka()
    objects.keep_in(layout_for(0).objects())
    with _explained(address, to, since), ended_gently(), _progress() as tell:
        from cli.exporting.run import export as run

        result = asyncio.run(run(address, None, to, wanted, tell))
    _say(result, to)


@contextmanager
def _explained(address: Brokers, to: Path, since: str | None) -> Iterator[None]:
    """End the command with a sentence about what went wrong, and how to go on."""
    from aiokafka.errors import KafkaError

    from cli.exporting.folder import NotOurs
    from cli.exporting.ledger import InUse

    same = f"./sliceline export --to {to}{f' --since {since}' if since else ''}"
    whole = f"What is written stays, and is whole. The same command goes on from there: {same}"
    try:
        yield
    except KeyboardInterrupt:
        fail(f"Stopped. {whole}", code=130)
    except InUse:
        fail(f"Another export is writing to {to}. Wait for it, or choose another folder.")
    except NotOurs:
        fail(f"{to} holds an export without its _sliceline/, which knows what is in it. Choose another folder.")
    except (KafkaError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        fail(f"Kafka at {address} cannot be read ({reason}). See: ./sliceline status. {whole}")
    except objects.Unreachable as error:
        fail(f"{error}. {whole}")
    except (OSError, sqlite3.Error) as error:
        fail(f"{to} cannot be written: {error}. {whole}")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error; whoever is called tells it how many records were read, of how many."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    speed = TextColumn("{task.fields[rate]}", style="dim")
    columns = BarColumn(), MofNCompleteColumn(), speed, TimeElapsedColumn(), TimeRemainingColumn()
    with Progress("Reading events", *columns, console=errors) as bar:
        task = bar.add_task("", total=None, rate="")

        def tell(done: int, total: int) -> None:
            rate = bar.tasks[0].finished_speed or bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{rate:,.0f}/s" if rate else "")

        yield tell


def _say(result: "Result", to: Path) -> None:
    """Tell what was written, and what a reader of it should know."""
    since = f" since {result.since}" if result.since else ""
    files = f"{result.files:,} file{'' if result.files == 1 else 's'}"
    lines = [f"{result.events:,} events{since} added to {to}, in {files}."]
    if result.repeated:
        lines.append(f"{result.repeated:,} records told of events that were there already; each is there once.")
    if result.unknown:
        lines.append(f"{result.unknown:,} are no event with a contract; they stand under type=unknown as they came.")
    if result.gone:
        lines.append(f"{result.gone:,} are missing: Kafka had deleted them, as too old, before this run came.")
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
