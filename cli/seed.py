"""./sliceline seed: fill the warehouse."""

import asyncio
from typing import Annotated

import typer

from cli.console import console, fail
from cli.running import running_shop

CHUNK = 20_000
COLUMNS = ("sku", "on_hand", "reserved", "sold", "initial", "adjusted", "threshold", "ceiling")
# Between these two stands every SKU of ours, and no other: "." follows "-" in the order of bytes.
FIRST, AFTER = "sku-", "sku."
ON_HAND, THRESHOLD, CEILING = 500, 100, 1000


def seed(
    items: Annotated[int, typer.Option("--items", min=1, max=99_999_999, help="How many SKUs there shall be.")],
) -> None:
    """Load the warehouse with SKUs (sku-00000001, …), 500 of each. Those that are there already count."""
    import asyncpg

    from cli.databases import url_of

    url = url_of(running_shop(), "inventory")
    try:
        there = asyncio.run(_fill(url, items))
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"The warehouse could not be loaded: {error}. What was loaded stays; run it again to go on.")
    added = max(0, items - there)
    console.print(f"{added:,} SKUs added to the {there:,} that were there.", highlight=False)


async def _fill(url: str, items: int) -> int:
    """Adds what is missing; returns how many SKUs of ours were there before."""
    import asyncpg
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    connection = await asyncpg.connect(url)
    try:
        there: int = await connection.fetchval("SELECT count(*) FROM stock WHERE sku >= $1 AND sku < $2", FIRST, AFTER)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress("Loading SKUs", *columns, console=console) as progress:
            task = progress.add_task("", total=items, completed=min(there, items))
            for start in range(there, items, CHUNK):
                rows = rows_of(start, min(start + CHUNK, items))
                await connection.copy_records_to_table("stock", records=rows, columns=COLUMNS)
                progress.advance(task, len(rows))
        await connection.execute("ANALYZE stock")
    finally:
        await connection.close()
    return there


def rows_of(start: int, end: int) -> list[tuple[str, int, int, int, int, int, int, int]]:
    """The stock rows number start + 1 to end, full and untouched."""
    return [(f"sku-{number:08}", ON_HAND, 0, 0, ON_HAND, 0, THRESHOLD, CEILING) for number in range(start + 1, end + 1)]
