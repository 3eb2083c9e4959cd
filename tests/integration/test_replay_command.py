"""`./sliceline replay` feeds one service from the archive: a dry run first, then what was missed, in order."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from backbone.consuming.batch import Batch, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.ids import new_id
from backbone.service import Service
from cli import feeding
from cli.__main__ import app
from services.ledger.service import SERVICE as LEDGER
from services.loyalty.service import SERVICE as LOYALTY
from tests.conftest import NewDatabase
from tests.integration.one_service import FakeRecord, fed, serving
from tests.integration.standing_in import standing_in_for
from tests.integration.test_payments import placed
from tests.integration.test_replaying import completed

LONG_AGO = 1_764_000_000_000


@dataclass
class World:
    """Two databases, and what was put into them."""

    urls: dict[str, str]
    records: Sequence[FakeRecord]

    def fetch(self, statement: str) -> list[Any]:
        return asyncio.run(_fetch(self.urls["loyalty"], statement))


def replay(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["replay", "--to", "loyalty", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


async def _fetch(url: str, statement: str) -> list[Any]:
    async with fed(LOYALTY, lambda _: url) as service, service.database.transaction() as tx:
        return [tuple(row) for row in await tx.raw.fetch(statement)]


async def _deliver(service: Service[Any], url: str, records: Sequence[FakeRecord]) -> None:
    async with fed(service, lambda _: url) as opened:
        await opened.deliver(*records)


async def _made(urls: dict[str, str]) -> list[FakeRecord]:
    """Forty events of two keys in the archive, taken at different times; loyalty has handled the first ten."""
    async with fed(LEDGER, lambda _: urls["ledger"]) as ledger:
        events = [ledger.record(*completed("ada", units=number + 1)) for number in range(40)]
        events = [replace(each, offset=at, timestamp=LONG_AGO + at // 4) for at, each in enumerate(events)]
        await ledger.deliver(*reversed(events), ledger.record(*placed(new_id())))
    await _deliver(LOYALTY, urls["loyalty"], events[:10])
    return events


@pytest.fixture
def world(new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("cli.running.HOME", tmp_path)
    monkeypatch.setattr(feeding, "MOST", 7)
    urls = {name: new_database(name) for name in ("ledger", "loyalty")}
    records = asyncio.run(_made(urls))
    with (
        serving(LEDGER, urls["ledger"]) as ledger,
        serving(LOYALTY, urls["loyalty"]) as loyalty,
        standing_in_for(tmp_path, {"ledger": ledger, "loyalty": loyalty}),
    ):
        yield World(urls, records)


def test_a_dry_run_comes_first_and_then_what_was_missed_applies_in_order(world: World) -> None:
    dry = replay()
    assert "30 events would be applied by loyalty; 10 it had applied already." in dry
    assert "--apply" in dry
    assert world.fetch("SELECT count(*) FROM entries") == [(10,)]
    assert "30 events were applied" in replay("--apply", "--rate", "1000")
    assert world.fetch("SELECT points FROM entries ORDER BY number") == [(number + 1,) for number in range(40)]
    assert "0 events were applied by loyalty; 40 it had applied already." in replay("--apply")


def test_a_replay_that_was_interrupted_goes_on_when_it_is_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = feeding._hand_over, iter(range(10))

    def interrupted(*arguments: Any, **named: Any) -> dict[str, int]:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(feeding, "_hand_over", interrupted)
    result = CliRunner().invoke(app, ["replay", "--to", "loyalty", "--apply"])
    assert result.exit_code == 130
    assert "the same command goes on" in result.output
    assert world.fetch("SELECT count(*) FROM entries") == [(21,)]
    monkeypatch.setattr(feeding, "_hand_over", real)
    assert "19 events were applied by loyalty; 21 it had applied already." in replay("--apply")


def test_only_the_wanted_types_and_times_are_fed_and_others_are_named(world: World) -> None:
    assert "0 events would be applied by loyalty; 0 it had" in replay("--since", "2026-11-02")
    assert "30 events would be" in replay("--types", "order-completed", "--until", "2026-11-02")
    result = CliRunner().invoke(app, ["replay", "--to", "loyalty", "--types", "order-placed"])
    assert result.exit_code == 2
    assert "loyalty does not read order-placed. It reads case-resolved, order-completed." in result.output
    result = CliRunner().invoke(app, ["replay", "--to", "loyalty", "--types", "order-completed,case-resolved"])
    assert "Say several with spaces between them." in result.output
    for rate in ("inf", "nan", "0"):
        result = CliRunner().invoke(app, ["replay", "--to", "loyalty", "--rate", rate])
        assert (result.exit_code, "--rate takes a number of events a second" in result.output) == (2, True)


def shadow(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["replay", "--to", "loyalty", "--shadow", *arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def found(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("cli.databases.url_of", lambda _, service, __: world.urls[service])
    return world


def test_a_read_model_is_rebuilt_and_compared_row_by_row_and_nothing_changes(found: World) -> None:
    replay("--apply")
    before = found.fetch("SELECT * FROM entries ORDER BY number")
    same = shadow()
    assert "accounts: 1 rows live, 1 rebuilt, 0 of them different." in same
    assert "entries: 40 rows live, 40 rebuilt, 0 of them different." in same
    found.fetch("UPDATE entries SET points = 1000 WHERE number = 3")
    found.fetch("DELETE FROM entries WHERE number = 40")
    differing = shadow()
    assert "entries: 39 rows live, 40 rebuilt, 2 of them different." in differing
    assert '"points" : 1000' in differing
    assert "live     None" in differing
    assert len(before) == 40
    assert len(found.fetch("SELECT FROM entries")) == 39
    assert found.fetch("SELECT count(*) FROM pg_namespace WHERE nspname = 'sliceline_shadow'") == [(0,)]
    assert found.fetch("SELECT count(*) FROM outbox") == [(40,)]
    _break_the_last(found.urls["ledger"])
    failing = shadow()
    assert "1 events could not be handled, or wait" in failing
    assert "  1 of sliceline.orders.order-completed.v1: " in failing
    assert not [each for each in ("ada", "locals", "Traceback") if each in failing.partition("1 events")[2]]
    assert "an event was parked" not in failing


def test_a_rebuilt_read_model_takes_the_live_ones_place_when_told_to(found: World) -> None:
    asyncio.run(_execute(found.urls["ledger"], "UPDATE events SET sequence = 1"))  # each is the first of its key
    times = found.fetch("SELECT earned_at FROM entries ORDER BY number")
    found.fetch("UPDATE entries SET points = 1000 WHERE number = 3")
    assert "The rebuilt rows are live now." in shadow("--swap")
    assert found.fetch("SELECT points FROM entries ORDER BY number") == [(number + 1,) for number in range(40)]
    assert found.fetch("SELECT earned_at FROM entries ORDER BY number LIMIT 10") == times
    assert found.fetch("SELECT points FROM accounts") == [(820,)]
    asyncio.run(_given_up(found))
    assert "The rebuilt rows are live now." in shadow("--swap")
    assert found.fetch("SELECT points FROM accounts") == [(820,)]
    assert "0 events would be applied by loyalty; 41 it had applied already." in replay()
    assert "0 of them different" in shadow()


def test_a_read_model_is_not_swapped_where_the_archive_lacks_events(found: World) -> None:
    found.fetch("UPDATE entries SET points = 1000")
    asyncio.run(_execute(found.urls["ledger"], "UPDATE events SET sequence = 2 WHERE sequence = 1"))
    assert "The archive lacks events of" in shadow("--swap", code=1)
    assert len(found.fetch("SELECT FROM entries WHERE points = 1000")) == 10


async def _given_up(found: World) -> None:
    """One more event is parked and discarded in loyalty, and archived."""
    async with fed(LOYALTY, lambda _: found.urls["loyalty"]) as loyalty:
        processor = BatchProcessor(LOYALTY.name, LOYALTY.handlers, loyalty.database)
        record = loyalty.record(*completed("ada", units=3))
        start = await loyalty._next_offset(record.topic, 0)
        record, place = replace(record, offset=start), {(record.topic, 0): (start, start + 1)}
        parked = read(record, processor.views)
        await processor.park(Batch([parked], place), ValueError("not this one"))
        await loyalty.client.post("/dead-letters/discard", json={"key": parked.key, "reason": "Not this one."})
    await _deliver(LEDGER, found.urls["ledger"], [record])
    await _execute(found.urls["ledger"], "UPDATE events SET sequence = 1")


def _break_the_last(archive: str) -> None:
    """Have the archive hold an event that no contract lets through, as an older one might be."""
    broken = """UPDATE events SET value = '{"customer": "ada"}' WHERE type LIKE '%completed%' AND "offset" = 39"""
    asyncio.run(_execute(archive, broken))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
