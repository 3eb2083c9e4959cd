"""Archived events are fed to one service again: what was missed applies, and nothing happens twice."""

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from backbone.events.envelope import from_record
from backbone.ids import new_id
from backbone.service import Service
from backbone.storage import sql
from backbone.storage.housekeeping import prune
from services.loyalty.service import SERVICE as LOYALTY
from services.notifications.service import SERVICE as NOTIFICATIONS
from services.payments.service import SERVICE as PAYMENTS
from tests.conftest import NewDatabase
from tests.integration.one_service import FakeRecord, Fed, fed
from tests.integration.test_notifications import confirmed
from tests.integration.test_payments import placed

COMPLETED = "sliceline.orders.order-completed.v1"
SENT = "sliceline.notifications.notification-sent.v2"
RECEIVED = "sliceline.payments.payment-received.v1"


@pytest.fixture
async def loyalty(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(LOYALTY, new_database) as service:
        yield service


@pytest.fixture(params=[NOTIFICATIONS, PAYMENTS], ids=lambda service: service.name)
async def effectful(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Fed]:
    """A service whose jobs reach the world outside: mails, or charges."""
    async with fed(request.param, new_database) as service:
        yield service


def told_to(service: Service[Any]) -> tuple[str, dict[str, Any]]:
    """What has the service mail, or charge."""
    return (confirmed if service is NOTIFICATIONS else placed)(new_id())


def completed(customer: str, units: int = 5) -> tuple[str, dict[str, Any]]:
    total = {"amount": units * 100, "currency": "GBP"}
    return COMPLETED, {"order": new_id(), "customer_id": customer, "total": total}


def archived(record: FakeRecord) -> dict[str, Any]:
    """A record as the archive has it."""
    headers = [[name, b64encode(value).decode()] for name, value in record.headers]
    key, value = b64encode(record.key).decode(), b64encode(record.value).decode()
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    return {**place, "recorded_at": "2026-11-01T18:30:00Z", "key": key, "headers": headers, "value": value}


def published(record: FakeRecord, event_type: str, key: str) -> dict[str, str]:
    return {"causationid": envelope_id(record), "type": event_type, "key": key}


def envelope_id(record: FakeRecord) -> str:
    return from_record(record.key, record.value, record.headers).id


async def replay(service: Fed, *records: FakeRecord, apply: bool = True, told: Sequence[Any] = ()) -> dict[str, int]:
    """What is not nothing of the outcomes."""
    body = {"apply": apply, "events": [archived(each) for each in records], "published": told}
    answer = await service.client.post("/replays", json=body)
    assert answer.status_code == 200, answer.text
    return {name: count for name, count in answer.json().items() if count}


async def count(service: Fed, table: str) -> int:
    async with service.database.transaction() as tx:
        return int(await tx.raw.fetchval(f"SELECT count(*) FROM {table}"))


async def execute(service: Fed, statement: str) -> None:
    async with service.database.transaction() as tx:
        await tx.raw.execute(statement)


async def points(service: Fed, customer: str) -> int:
    return int((await service.client.get(f"/customers/{customer}/points")).json()["points"])


async def test_a_dry_run_tells_what_would_apply_and_only_what_was_missed_is_applied(loyalty: Fed) -> None:
    known, missed = (loyalty.record(*completed("ada")) for _ in range(2))
    unread = loyalty.record(*placed(new_id()))
    await loyalty.deliver(known)
    places = await count(loyalty, "consumer_offsets WHERE next_offset = 1")
    for _ in range(2):
        would = await replay(loyalty, known, missed, unread, apply=False)
        assert would == {"applied": 1, "known": 1, "unread": 1}
    assert await points(loyalty, "ada") == 5
    assert await replay(loyalty, known, missed, unread) == would
    assert await points(loyalty, "ada") == 10
    assert await replay(loyalty, known, missed, unread) == {"known": 2, "unread": 1}
    assert await count(loyalty, "consumer_offsets WHERE next_offset = 1") == places == 1


async def test_a_replayed_event_that_cannot_be_handled_parks_its_key_once_and_others_go_on(loyalty: Fed) -> None:
    event_type, data = completed("ada")
    bad = loyalty.record(event_type, {**data, "total": "much"})
    behind, other = loyalty.record(event_type, data), loyalty.record(*completed("ada"))
    assert await replay(loyalty, bad, behind, other, apply=False) == {"applied": 2, "parked": 1}
    for already in ({"applied": 1}, {"known": 1}):
        assert await replay(loyalty, bad, behind, other) == {"parked": 2, **already}
    assert await count(loyalty, "dead_letters") == 2
    assert await points(loyalty, "ada") == 5


async def test_a_broken_event_that_was_discarded_is_not_parked_again_by_the_next_replay(loyalty: Fed) -> None:
    event_type, data = completed("ada")
    bad, other = (loyalty.record(event_type, {**data, "order": new_id(), "total": "much"}) for _ in range(2))
    assert await replay(loyalty, bad) == {"parked": 1}
    (letter,) = (await loyalty.client.get("/dead-letters")).json()["items"]
    discarded = await loyalty.client.post(f"/dead-letters/{letter['id']}/discard", json={"reason": "Broken."})
    assert discarded.status_code == 200
    assert await replay(loyalty, bad, other) == {"known": 1, "parked": 1}
    assert await count(loyalty, "dead_letters") == 1


async def test_a_letter_of_a_replay_is_kept_beside_another_ones_at_the_same_place(loyalty: Fed) -> None:
    event_type, data = completed("ada")
    bad = [loyalty.record(event_type, {**data, "order": new_id(), "total": "much"}) for _ in range(2)]
    assert await replay(loyalty, *bad) == {"parked": 2}
    assert await count(loyalty, 'dead_letters WHERE "offset" = 0') == 2


async def test_no_mail_or_charge_happens_again_after_the_inbox_has_forgotten_it(effectful: Fed) -> None:
    record = effectful.record(*told_to(effectful.service))
    await effectful.deliver(record)
    assert await count(effectful, "jobs") == 1
    await execute(effectful, "DELETE FROM jobs")  # done
    assert await replay(effectful, record) == {"known": 1}
    await execute(effectful, "UPDATE inbox SET received_at = now() - interval '15 days'")
    assert await prune(effectful.database, sql.INBOX_PRUNE, timedelta(days=14)) == 1
    for apply in (False, True):
        assert await replay(effectful, record, apply=apply) == {"forgotten": 1}
    assert (await count(effectful, "jobs"), await count(effectful, "outbox")) == (0, 0)
    said = (await effectful.client.get("/replays")).json()
    assert said["remembers_since"] is not None
    assert from_record(record.key, record.value, record.headers).type in said["types"]


async def test_a_services_own_rows_keep_mails_and_charges_single_where_the_inbox_was_lost(effectful: Fed) -> None:
    record = effectful.record(*told_to(effectful.service))
    await effectful.deliver(record)
    await execute(effectful, "DELETE FROM jobs; DELETE FROM inbox")
    await replay(effectful, record)
    assert (await count(effectful, "jobs"), await count(effectful, "outbox")) == (0, 0)


async def test_what_the_archive_shows_as_published_is_not_published_again(loyalty: Fed) -> None:
    told, untold = loyalty.record(*completed("ada")), loyalty.record(*completed("ada"))
    earned = published(told, "sliceline.loyalty.points-earned.v1", "ada")
    assert await replay(loyalty, told, untold, told=[earned]) == {"applied": 2}
    assert await points(loyalty, "ada") == 10
    assert [data["balance"] for _, data in await loyalty.published("ada")] == [10]


async def test_a_job_that_is_known_to_be_done_is_repeated_only_where_the_other_side_recognises_it(
    effectful: Fed,
) -> None:
    mails = effectful.service is NOTIFICATIONS
    record = effectful.record(*told_to(effectful.service))
    envelope = from_record(record.key, record.value, record.headers)
    outcome = (SENT, envelope.occurrenceid) if mails else (RECEIVED, envelope.partitionkey)
    assert await replay(effectful, record, told=[published(record, *outcome)]) == {"applied": 1}
    assert await count(effectful, "jobs") == (0 if mails else 1)


async def test_bodies_that_are_no_archived_events_are_refused_by_field(loyalty: Fed) -> None:
    bad = {**archived(loyalty.record(*completed("ada"))), "value": "no base64"}
    answer = await loyalty.client.post("/replays", json={"events": [bad]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "events.0.value"
