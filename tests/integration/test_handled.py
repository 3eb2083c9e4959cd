"""What became of each record is counted with its effect: each offset once, whatever is read or delivered again."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi import APIRouter

from backbone.consuming.redrive import redrive
from backbone.consuming.replaying import Replaying
from backbone.consuming.reread import reread
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage.housekeeping import prune
from backbone.storage.sql import DISCARDED_PRUNE
from tests.conftest import NewDatabase
from tests.integration.one_log import (
    COMPLETED,
    LISTENER,
    LISTENS,
    NOTE,
    PLACED,
    V1,
    V2,
    WRONG,
    Completed,
    ConfirmedOnce,
    OneLog,
    Reader,
    confirmed,
    happened,
)
from tests.integration.one_service import Fed, fed


@pytest.fixture
async def reader(new_database: NewDatabase) -> AsyncIterator[Reader]:
    WRONG.clear()
    async with fed(LISTENER, new_database) as service:
        yield Reader(service, OneLog("orders.events"))


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
    await Reader(Fed(deaf, service.database, service.client, service.context), reader.log).read()
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


async def test_a_discarded_letter_counts_as_such_once_it_is_purged_and_a_restored_one_does_not(reader: Reader) -> None:
    service, months = reader.service, timedelta(days=90)
    WRONG.update("ab")
    reader.log.append(*(happened(service, COMPLETED, order) for order in "aab"))
    await reader.read()
    for key in "ab":
        await service.client.post("/dead-letters/discard", json={"key": key, "reason": "Not one."})
    await reread(service.database, reader.name, reader.log.topic)
    await service.client.post("/dead-letters/restore", json={"key": "b"})
    await reader.take(at=0)
    await reader.read()  # and finds what lies there already
    assert await reader.handled() == {COMPLETED: {"discarded": 2, "parked": 1}}
    await service.database.fetch("UPDATE discarded_letters SET discarded_at = now() - interval '100 days'")
    assert await prune(service.database, DISCARDED_PRUNE, months) == 2
    assert await reader.handled() == {COMPLETED: {"discarded": 2, "parked": 1}}
    WRONG.clear()
    assert await redrive(service.database, reader.name, LISTENS) == 1
    assert await reader.handled() == {COMPLETED: {"discarded": 2, "applied": 1}}


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


async def test_what_was_skipped_or_ignored_counts_as_applied_once_it_is_replayed(reader: Reader) -> None:
    service = reader.service
    reader.log.append(*(happened(service, COMPLETED, order) for order in "ab"), *confirmed(service, "a"))
    deaf: Service[Any] = Service("loyalty", Settings, APIRouter(), handlers={Completed: NOTE})
    await Reader(Fed(deaf, service.database, service.client, service.context), reader.log).read(up_to=1)
    await service.database.fetch("UPDATE consumer_offsets SET next_offset = 2")
    await Reader(Fed(deaf, service.database, service.client, service.context), reader.log).read()
    assert await reader.handled() == {COMPLETED: {"applied": 1}, V1: {"ignored": 1}, V2: {"ignored": 1}}
    made_up_for = "UPDATE handled_counts SET ignored = -1 WHERE type = $1"  # what was applied twice
    await service.database.fetch(made_up_for, COMPLETED)
    replaying = Replaying(reader.name, LISTENS, service.database)
    for _ in range(2):
        await replaying.apply(replaying.batch_of(reader.archived()))
    assert await reader.handled() == {
        COMPLETED: {"applied": 2, "ignored": -1}, V1: {"applied": 1}, V2: {"ignored": 1}
    }  # fmt: skip


async def test_what_a_replay_parks_counts_as_parked_and_then_by_what_came_of_it(reader: Reader) -> None:
    service = reader.service
    reader.log.append(happened(service, COMPLETED, "a"), *confirmed(service, "a"))
    deaf: Service[Any] = Service("loyalty", Settings, APIRouter(), handlers={Completed: NOTE})
    await reader.take(at=0)
    await service.database.fetch("UPDATE consumer_offsets SET next_offset = 1")
    await Reader(Fed(deaf, service.database, service.client, service.context), reader.log).read()
    assert await reader.handled() == {V1: {"ignored": 1}, V2: {"ignored": 1}}
    WRONG.add("a")
    replaying = Replaying(reader.name, LISTENS, service.database)
    first, second, _ = reader.archived()
    for _ in range(2):
        await replaying.park(replaying.batch_of([first]), ValueError("not this one"))
        await replaying.apply(replaying.batch_of([second]))
        assert await reader.handled() == {COMPLETED: {"parked": 1}, V1: {"held": 1}, V2: {"ignored": 1}}
        assert await reader.states() == ["parked", "held", "passed"]
    (count_in,) = {row["counts_in"] for row in await service.database.fetch("SELECT counts_in FROM dead_letters")}
    await service.database.fetch("UPDATE dead_letters SET counts_in = NULL")  # as at a place that nobody counts
    assert await reader.states() == ["parked", "held", "passed"]
    await service.database.fetch("UPDATE dead_letters SET counts_in = $1", count_in)
    WRONG.clear()
    assert await redrive(service.database, reader.name, LISTENS) == 2
    assert await reader.handled() == {COMPLETED: {"applied": 1}, V1: {"applied": 1}, V2: {"ignored": 1}}


def counted_from(place: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """From where it is counted, and from where it is not any more."""
    return place["since_offset"], place["uncounted_from"]


async def test_what_somebody_moves_on_who_does_not_count_is_said_and_counting_begins_anew(reader: Reader) -> None:
    service = reader.service
    reader.log.append(*(happened(service, COMPLETED, order) for order in "abcd"))
    await reader.read(up_to=2)
    assert counted_from(await reader.place()) == (0, None)
    await service.database.fetch("UPDATE consumer_offsets SET next_offset = 3")  # all that an older release does
    assert counted_from(await reader.place()) == (0, 2)
    await reader.take(at=0)
    await reader.read()
    assert counted_from(await reader.place()) == (3, None)
    assert await reader.handled() == {COMPLETED: {"applied": 1}}


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
