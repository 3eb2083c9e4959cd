"""What became of each record is counted with its effect: each offset once, whatever is read or delivered again."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from fastapi import APIRouter

from backbone.consuming.handlers import BatchHandler
from backbone.consuming.redrive import redrive
from backbone.events.payload import Event, Payload
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage.database import Tx
from deployment.catalogue import sample_of
from tests.conftest import NewDatabase
from tests.integration.one_log import OneLog, Reader
from tests.integration.one_service import FakeRecord, Fed, fed

COMPLETED, PLACED = "sliceline.orders.order-completed.v1", "sliceline.orders.order-placed.v1"
V1, V2 = "sliceline.orders.order-confirmed.v1", "sliceline.orders.order-confirmed.v2"
WRONG = set[str]()
"""Orders that cannot be handled until somebody mends it."""


class Completed(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = COMPLETED
    order: str


class ConfirmedOnce(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = V1
    order: str


class ConfirmedTwice(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = V2
    order: str


async def note(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Have no effect, but on those that are wrong."""
    if any(event.data.order in WRONG for event in events):
        raise ValueError("not this one")


NOTE = BatchHandler(note)
LISTENS = {Completed: NOTE, ConfirmedOnce: NOTE, ConfirmedTwice: NOTE}
# Any name will do that has a database of its own.
LISTENER: Service[Any] = Service("loyalty", Settings, APIRouter(), handlers=LISTENS)


@pytest.fixture
async def reader(new_database: NewDatabase) -> AsyncIterator[Reader]:
    WRONG.clear()
    async with fed(LISTENER, new_database) as service:
        yield Reader(service, OneLog("orders.events"))


def happened(service: Fed, event_type: str, order: str) -> FakeRecord:
    return service.record(event_type, {**sample_of(event_type), "order": order})


def confirmed(service: Fed, order: str) -> list[FakeRecord]:
    """Both versions of one happening."""
    first, second = (happened(service, each, order) for each in (V1, V2))
    occurrence = dict(first.headers)["ce_occurrenceid"]
    second.headers[:] = [(name, occurrence if name == "ce_occurrenceid" else had) for name, had in second.headers]
    return [first, second]


async def test_each_record_counts_by_what_became_of_it(reader: Reader) -> None:
    service = reader.service
    completed = happened(service, COMPLETED, "a")
    reader.log.append(happened(service, PLACED, "a"), *confirmed(service, "a"), completed, completed)
    await reader.read()
    assert await reader.handled() == {
        PLACED: {"ignored": 1},
        V1: {"applied": 1},
        V2: {"repeated": 1},
        COMPLETED: {"applied": 1, "repeated": 1},
    }


async def test_nothing_counts_twice_when_the_log_is_read_again(reader: Reader) -> None:
    service = reader.service
    reader.log.append(happened(service, PLACED, "a"), *confirmed(service, "a"), happened(service, COMPLETED, "a"))
    await reader.read()
    before = await reader.handled()
    await reader.reread()
    assert await reader.handled() == before


async def test_an_event_that_a_new_handler_applies_is_not_ignored_any_more(reader: Reader) -> None:
    service = reader.service
    reader.log.append(*(happened(service, COMPLETED, order) for order in "abc"))
    deaf: Service[Any] = Service("loyalty", Settings, APIRouter(), handlers={ConfirmedOnce: NOTE})
    await Reader(Fed(deaf, service.database, service.client), reader.log).read()
    assert await reader.handled() == {COMPLETED: {"ignored": 3}}
    await reader.reread()
    assert await reader.handled() == {COMPLETED: {"applied": 3}}


async def test_a_letter_counts_where_it_lies_and_then_by_what_came_of_it(reader: Reader) -> None:
    service = reader.service
    WRONG.add("a")
    reader.log.append(*(happened(service, COMPLETED, order) for order in "aaab"))
    await reader.read()
    assert await reader.handled() == {COMPLETED: {"applied": 1, "parked": 1, "held": 2}}
    letters = (await service.client.get("/dead-letters")).json()["items"]
    given_up = await service.client.post(f"/dead-letters/{letters[0]['id']}/discard", json={"reason": "Not one."})
    assert given_up.status_code == 200
    assert await reader.handled() == {COMPLETED: {"applied": 1, "discarded": 1, "parked": 1, "held": 1}}
    WRONG.clear()
    assert await redrive(service.database, reader.name, LISTENS) == 2
    assert await reader.handled() == {COMPLETED: {"applied": 3, "discarded": 1}}


async def test_a_letter_that_is_lost_is_not_counted_any_more(reader: Reader) -> None:
    WRONG.add("a")
    reader.log.append(happened(reader.service, COMPLETED, "a"))
    await reader.read()
    await reader.service.database.fetch("DELETE FROM dead_letters")
    assert await reader.handled() == {}


async def test_a_record_that_is_no_event_of_a_sound_type_counts_without_one(reader: Reader) -> None:
    service = reader.service
    untyped, endless = (happened(service, COMPLETED, order) for order in "ab")
    untyped.headers[:] = [each for each in untyped.headers if each[0] != "ce_type"]
    endless.headers[:] = [(name, b"x" * 9000 if name == "ce_type" else had) for name, had in endless.headers]
    reader.log.append(untyped, endless)
    await reader.read()
    assert await reader.handled() == {"": {"parked": 1, "ignored": 1}}


async def test_a_purged_inbox_changes_no_count(reader: Reader) -> None:
    reader.log.append(*(happened(reader.service, COMPLETED, order) for order in "abc"))
    await reader.read()
    before = await reader.handled()
    await reader.service.database.fetch("TRUNCATE inbox")
    assert await reader.handled() == before


async def test_a_consumer_counts_from_where_it_began(reader: Reader) -> None:
    service = reader.service
    reader.log.append(*(happened(service, COMPLETED, order) for order in "abc"))
    await reader.take(at=2)
    await reader.read()
    assert await reader.handled() == {COMPLETED: {"applied": 1}}
    await reader.reread()  # what lies before has its effect, and is no part of the sheet
    assert await reader.handled() == {COMPLETED: {"applied": 1}}


async def test_a_topic_that_was_made_anew_is_counted_anew(reader: Reader) -> None:
    service = reader.service
    WRONG.add("b")
    reader.log.append(*(happened(service, COMPLETED, order) for order in "ab"))
    await reader.read()
    reader.log.records.clear()
    reader.log.id = uuid4()
    reader.log.append(happened(service, COMPLETED, "c"))
    await reader.take(0)
    await reader.read()
    assert await reader.handled() == {COMPLETED: {"applied": 1}}
    WRONG.clear()
    assert await redrive(service.database, reader.name, LISTENS) == 1  # a letter of the log that is gone
    assert await reader.handled() == {COMPLETED: {"applied": 1}}
