"""./sliceline seed: fill the warehouse."""

import asyncio
from typing import Annotated

import typer

from cli.console import console, fail
from cli.running import running_shop
from deployment.roles import owner_of

CHUNK = 20_000
# Between these two stands every SKU of ours, and no other: "." follows "-" in the order of bytes.
FIRST, AFTER = "sku-", "sku."
THERE = "SELECT count(*) FROM stock WHERE sku >= :first AND sku < :after"
FULL = {
    "on_hand": 500,
    "reserved": 0,
    "sold": 0,
    "initial": 500,
    "adjusted": 0,
    "threshold": 100,
    "ceiling": 1000,
}


def seed(
    items: Annotated[int, typer.Option("--items", min=1, max=99_999_999, help="How many SKUs there shall be.")],
) -> None:
    """Load the warehouse with SKUs (sku-00000001, …), 500 of each. Those that are there already count."""
    import asyncpg

    from cli.databases import url_of

    url = url_of(running_shop(), "inventory", owner_of("inventory"))  # who may also have it analysed
    try:
        there = asyncio.run(_fill(url, items))
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"The warehouse could not be loaded: {error}. What was loaded stays; run it again to go on.")
    added = max(0, items - there)
    console.print(f"{added:,} SKUs added to the {there:,} that were there.", highlight=False)


async def _fill(url: str, items: int) -> int:
    """Add the SKUs that are missing; return how many of ours were there before."""
    import asyncpg
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from backbone.storage.statement import Statement

    connection = await asyncpg.connect(url)
    try:
        there: int = await Statement(THERE).fetchval(connection, first=FIRST, after=AFTER)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress("Loading SKUs", *columns, console=console) as progress:
            task = progress.add_task("", total=items, completed=min(there, items))
            for start in range(there, items, CHUNK):
                rows = rows_of(start, min(start + CHUNK, items))
                await connection.copy_records_to_table("stock", records=rows, columns=("sku", *FULL))
                progress.advance(task, len(rows))
        await connection.execute("ANALYZE stock")
    finally:
        await connection.close()
    return there


def rows_of(start: int, end: int) -> list[tuple[str | int, ...]]:
    """Make the stock rows number start + 1 to end, full and untouched."""
    return [(f"sku-{number:08}", *FULL.values()) for number in range(start + 1, end + 1)]
