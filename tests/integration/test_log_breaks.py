"""A break of a log is written down, told and counted once, whoever notices it and however often."""

import asyncio

from backbone.consuming.places import Break, Places
from backbone.observing import metrics
from backbone.storage import sql
from tests.integration.one_service import until_a_lock_is_awaited
from tests.integration.test_places import breaks
from tests.integration.things import Things


async def test_a_partition_that_broke_several_times_counts_once(thing: Things) -> None:
    places = Places(thing.database, thing.name)
    for number in range(3):
        await places.say(Break((thing.topic, 1), "gone", f"{number} records are gone unread"))
    await places.say(Break((thing.topic, 2), "gone", "7 records are gone unread"))
    assert await breaks(thing) == {"gone": 2}


async def test_a_break_that_several_replicas_notice_at_once_is_written_down_and_counted_once(thing: Things) -> None:
    broken = Break((thing.topic, 1), "gone", "7 records are gone unread", unread=7)
    places = Places(thing.database, thing.name)
    async with thing.database.transaction() as tx:
        assert await places._write(tx, broken)
        second = asyncio.create_task(places.say(broken))
        await until_a_lock_is_awaited(thing.database)
    await second
    assert len(await thing.database.fetch("SELECT FROM log_breaks")) == 1
    assert metrics.UNREAD.labels(thing.topic)._value.get() == 0  # the first, who says it, has not yet
    await sql.LOG_BREAKS_ACKNOWLEDGE.fetch(thing.database)
    await places.say(broken)
    assert await breaks(thing) == {"gone": 1}
