"""`./sliceline heal` on a database from an older backup: counting, and what it says. A whole shop: test_healed_shop."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner

from backbone.observing import metrics
from cli.__main__ import app
from cli.heal import PAUSE
from services.ledger.service import SERVICE as LEDGER
from services.loyalty.service import SERVICE as LOYALTY
from tests.conftest import NewDatabase
from tests.integration.one_service import FakeRecord, Fed, fed, serving
from tests.integration.standing_in import standing_in_for
from tests.integration.test_replaying import completed
from tests.issuing import by


@contextmanager
def copied(postgres: str, url: str) -> Iterator[str]:
    """The address of a copy of a database: the backup, put back."""
    name = f"{url.rpartition('/')[2]}_restored"
    asyncio.run(_execute(postgres, f'CREATE DATABASE "{name}" TEMPLATE "{url.rpartition("/")[2]}"'))
    yield f"{url.rpartition('/')[0]}/{name}"
    asyncio.run(_execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def handle(url: str, records: Sequence[FakeRecord]) -> None:
    async with fed(LOYALTY, lambda _: url) as loyalty:
        await loyalty.deliver(*records)


async def relayed(url: str, ledger: Fed) -> None:
    """Empty an outbox into the archive, as relay and ledger would."""
    rows = await _execute(
        url,
        "DELETE FROM outbox RETURNING "
        "type, payload, aggregateid, causationid, correlationid, sequence, id, occurrenceid",
    )
    for event_type, payload, key, cause, story, sequence, event, occurrence in rows:
        record = ledger.record(event_type, {"order": "", **json.loads(payload)}, story)
        own = {"id": event, "partitionkey": key, "occurrenceid": occurrence, "sequence": f"{sequence:020}"}
        headers = [(name, value) for name, value in record.headers if name.removeprefix("ce_") not in own]
        headers += [(f"ce_{name}", value.encode()) for name, value in {**own, "causationid": cause}.items()]
        await ledger.deliver(FakeRecord(record.topic, sequence, key.encode(), payload.encode(), headers))


def test_a_database_from_an_older_backup_is_level_again_and_gives_no_number_twice(
    new_database: NewDatabase, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.running.HOME", tmp_path)
    monkeypatch.setattr("cli.heal.SETTLED", 0)
    metrics.LAG.clear()  # of consumers that other tests had in this process
    live, archive = new_database("loyalty"), new_database("ledger")

    async def first_half() -> list[FakeRecord]:
        async with fed(LEDGER, lambda _: archive) as ledger:
            records = [ledger.record(*completed("ada")) for _ in range(6)]
            await ledger.deliver(*records)
            await handle(live, records[:3])
            await relayed(live, ledger)
        return records

    async def second_half(records: Sequence[FakeRecord]) -> None:
        async with fed(LEDGER, lambda _: archive) as ledger:
            await handle(live, records[3:])
            await relayed(live, ledger)

    records = asyncio.run(first_half())
    with copied(postgres, live) as restored:
        asyncio.run(second_half(records))
        with (
            serving(LEDGER, archive) as ledger,
            serving(LOYALTY, restored) as loyalty,
            standing_in_for(tmp_path, {"ledger": ledger, "loyalty": loyalty}),
        ):
            with monkeypatch.context() as stopping:
                stopping.setattr("cli.heal._until_level", lambda _: os.kill(os.getpid(), signal.SIGTERM))
                stopped = CliRunner().invoke(app, ["heal", "loyalty"])
            assert (stopped.exit_code, "Stopped" in stopped.output) == (130, True), stopped.output
            left_by_one_killed = {"what": "consumer", "name": "loyalty", "reason": PAUSE}
            assert httpx.post(f"{loyalty}/pauses", json=left_by_one_killed, headers=by("olga")).status_code == 201
            healed = CliRunner().invoke(app, ["heal", "loyalty"])
            assert healed.exit_code == 0, healed.output
            assert "Waiting until the ledger" in healed.output
            again = CliRunner().invoke(app, ["heal", "loyalty"])
        assert "loyalty: 3 missed events applied, 3 had been; counts on for 1 keys" in healed.output
        assert "loyalty: 0 missed events applied, 6 had been." in again.output
        same = "SELECT points, balance, order_id FROM entries ORDER BY number"
        assert asyncio.run(_execute(restored, same)) == asyncio.run(_execute(live, same))
        assert asyncio.run(_execute(restored, "SELECT FROM outbox")) == []  # what it had published before
        paused = "SELECT count(*), count(resumed_at), count(*) FILTER (WHERE paused_by = 'somebody') FROM pauses"
        assert asyncio.run(_execute(restored, paused)) == [(3, 3, 2)]  # the consumer waited, and goes on
        asyncio.run(handle(restored, [_another(records)]))
        assert asyncio.run(_execute(restored, "SELECT sequence FROM outbox")) == [(7,)]


def _another(records: Sequence[FakeRecord]) -> FakeRecord:
    """One more event, of an occurrence of its own."""
    headers = [
        (name, b"another" if name in ("ce_id", "ce_occurrenceid") else value) for name, value in records[0].headers
    ]
    return FakeRecord(records[0].topic, 0, records[0].key, records[0].value, headers)
