"""The questions of docs/analytics.md get the right answers about orders that were really played."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cli.exporting.run import export
from local import ROOT
from tests.exporting import untold
from tests.invariants import assert_sound
from tests.system import Shop

PAGE = (ROOT / "docs" / "analytics.md").read_text()
NAMING, *QUESTIONS = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[FROM_PYTHON] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


async def test_the_page_answers_its_questions_about_what_was_played(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = datetime.now(UTC)
    since = began.isoformat(timespec="microseconds").replace("+00:00", "Z")
    await _played(shop)
    await export(shop.journal.kafka, None, tmp_path / "folder", since, untold)

    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(NAMING)
        takings, times, reasons, shortages, customers = (database.execute(each).fetchall() for each in QUESTIONS)
    days = {row[0] for row in takings}
    assert sorted(row[1:] for row in takings) == [
        ("cola", 1, 300, "GBP"),
        ("margherita", 3, 3600, "GBP"),
        ("mcguffin", 2, 1000, "GBP"),
    ]
    assert days <= {began.date(), datetime.now(UTC).date()}
    assert sum(orders for _, orders, _, _ in times) == 3
    assert all(0 < half <= most for _, _, half, most in times)
    assert reasons == [
        ("Not enough in stock", 2, 50.0),
        ("Changed her mind.", 1, 25.0),
        ("The payment was declined", 1, 25.0),
    ]
    assert shortages == [("mcguffin", 2, 13)]
    assert customers == [(1, 1, 1000), (2, 1, 3900)]
    assert _from_python() == [(day, 3, 4900) for day in days]


async def _played(shop: Shop) -> None:
    """Ada orders twice and Bob once; Cleo changes her mind; others want more than there is, or cannot pay."""
    await shop.set_stock("mcguffin", 10)
    ada, bob = "ada-analysed", "bob-analysed"
    orders = [
        await shop.place({"margherita": 1, "cola": 1}, customer=ada),
        await shop.place({"margherita": 2}, customer=ada),
        await shop.place({"mcguffin": 2}, customer=bob),
    ]
    for order in orders:
        await shop.complete(order)
    for quantity in (14, 15):
        await shop.wait_for_status(await shop.place({"mcguffin": quantity}), "rejected")
    regretted = await shop.place({"pepperoni": 1})
    await shop.wait_for_status(regretted, "confirmed")
    await shop.http.post(shop.url("orders", f"/orders/{regretted}/cancel"), json={"reason": "Changed her mind."})
    await shop.wait_for_status(regretted, "cancelled")
    await shop.moods(declining=True)
    await shop.wait_for_status(await shop.place({"diavola": 1}), "rejected")
    await assert_sound(shop)


def _from_python() -> list[tuple[Any, ...]]:
    scope: dict[str, Any] = {}
    exec(FROM_PYTHON.replace(".df()", ".fetchall()"), scope)  # noqa: S102 (of our own page)
    found: list[tuple[Any, ...]] = scope["takings"]
    return found
