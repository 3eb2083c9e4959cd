"""What the tests of the relay share."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from backbone.events.envelope import Envelope
from backbone.publishing.relay import Relay
from tests.integration.things import Things
from tests.waiting import DEADLINE

WRITERS, WRITES, HOT_KEYS = 12, 20, 4
"""How many write how often to how many keys; each write publishes for two of them."""


def relay_of(thing: Things) -> Relay:
    return Relay(thing.database, thing.kafka, poll=0.05)


async def outbox_is_empty(thing: Things) -> bool:
    async with thing.database.transaction() as tx:
        return bool(await tx.raw.fetchval("SELECT count(*) = 0 FROM outbox"))


def sequences_by_key(events: Iterable[Envelope]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for event in events:
        found[event.partitionkey].append(event.sequence)
    return found


def assert_complete_and_in_order(events: list[Envelope]) -> None:
    for key, sequences in sequences_by_key(events).items():
        assert sequences == list(range(1, len(sequences) + 1)), f"{key}: {sequences}"


async def write_with_pauses(thing: Things, writer: int) -> None:
    """Like real commands: the key's lock is taken early or late, and the commit comes when it comes."""
    dice = random.Random(writer)
    for number in range(WRITES):
        async with thing.database.transaction(patience=timedelta(seconds=DEADLINE)) as tx:
            await asyncio.sleep(dice.random() * 0.01)
            for key in dice.sample(range(HOT_KEYS), 2):
                tx.publish(thing.happened(writer * WRITES + number), key=f"key-{key}")
            await asyncio.sleep(dice.random() * 0.01)
