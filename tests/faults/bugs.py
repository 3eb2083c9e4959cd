"""Known bugs, planted by replacing a function of ours: each of the checks must have something to say of some of them.

A bug that nobody plants any more because a function has moved fails its test: nothing is found.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import asyncpg

from backbone.consuming import inbox, parking
from backbone.consuming.batch import Batch, Incoming
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.fingerprints import failure_of
from backbone.errors import SlicelineError
from backbone.events.buses import topic_named
from backbone.events.envelope import Envelope, to_record
from backbone.publishing.publisher import PackedRows, Publisher
from backbone.publishing.relay import Relay
from backbone.storage import group_commit
from backbone.storage.database import Tx
from backbone.storage.group_commit import GroupCommit, PendingCommand
from backbone.storage.idempotency import Replied, Reply
from backbone.values.brokers import Brokers
from services.inventory import decisions as inventory
from services.inventory.decisions import Outcome, Stock
from services.inventory.events import OrderCancelled, OrderRejected
from services.inventory.recipes import Recipes
from services.payments.decisions import Payment
from services.payments.provider import Absent, Provider
from services.payments.provider import Outcome as Answer
from tests.faults.foreign import send
from tests.patches import Patch

Plant = Callable[[Patch, Brokers], None]
"""Given how to replace a function, and Kafka's address."""


def no_inbox(patch: Patch, _: Brokers) -> None:
    async def all_of_them(tx: Tx, consumer: str, incoming: Sequence[Incoming]) -> list[Incoming]:
        return list(incoming)

    patch(inbox, "deduplicate", all_of_them)


def offsets_before_effects(patch: Patch, _: Brokers) -> None:
    async def apply(self: BatchProcessor, batch: Batch, *, fresh: bool = False) -> None:
        async with self._database.transaction() as tx:
            await self._move(tx, batch)
        async with self._database.transaction() as tx:
            known = [each for each in batch.incoming if each.event or each.broken]
            await self._handle(tx, await self.admit(tx, await parking.sift(tx, self._name, known)))

    patch(BatchProcessor, "apply", apply)


def parks_without_the_key(patch: Patch, _: Brokers) -> None:
    async def park(tx: Tx, consumer: str, incoming: Incoming, error: Exception) -> None:
        await parking._write_letter(tx, consumer, incoming, failure_of(error, None))

    patch(parking, "park", park)


def lets_parked_keys_pass(patch: Patch, _: Brokers) -> None:
    async def sift(tx: Tx, consumer: str, incoming: Sequence[Incoming]) -> list[Incoming]:
        return list(incoming)

    patch(parking, "sift", sift)


def skips_what_becomes_visible_late(patch: Patch, _: Brokers) -> None:
    """The relay takes all before the highest position that it has seen for published."""
    take, seen = Relay._take, {"last": 0}

    async def take_after_the_last(self: Relay, tx: Tx) -> list[asyncpg.Record]:
        await tx.raw.execute("DELETE FROM outbox WHERE position < $1", seen["last"])
        seen["last"] = max(seen["last"], await tx.raw.fetchval("SELECT coalesce(max(position), 0) FROM outbox"))
        return await take(self, tx)

    patch(Relay, "_take", take_after_the_last)


def takes_a_failed_send_for_done(patch: Patch, _: Brokers) -> None:
    send_batch = Publisher.send

    async def send_and_hope(self: Publisher, batch: PackedRows) -> None:
        try:
            await send_batch(self, batch)
        except Exception:
            return

    patch(Publisher, "send", send_and_hope)


def sends_the_newest_first(patch: Patch, _: Brokers) -> None:
    take = Relay._take

    async def backwards(self: Relay, tx: Tx) -> list[asyncpg.Record]:
        return (await take(self, tx))[::-1]

    patch(Relay, "_take", backwards)


def publishes_before_the_commit(patch: Patch, kafka: Brokers) -> None:
    flush = Tx.flush

    async def send_and_flush(self: Tx) -> tuple[bool, frozenset[str]]:
        for number, row in enumerate(self._outgoing, 1):
            key, value, headers = to_record(
                Envelope(
                    id=row.id,
                    type=row.type,
                    source=f"/sliceline/{self.service}",
                    subject=row.subject,
                    time="2026-11-21T12:00:00.000000Z",
                    dataschema=row.dataschema,
                    partitionkey=row.aggregateid,
                    correlationid=row.correlationid,
                    occurrenceid=row.occurrenceid,
                    sequence=number,
                    data=row.payload.encode(),
                )
            )
            await send(kafka, key.decode(), value, headers, topic_named(row.aggregatetype))
        return await flush(self)

    patch(Tx, "flush", send_and_flush)


def forgets_idempotency_keys(patch: Patch, _: Brokers) -> None:
    async def nothing_known(tx: Tx, wanted: Sequence[Replied]) -> dict[Any, Any]:
        return {}

    patch(group_commit, "claim_all", nothing_known)


def answers_before_the_commit(patch: Patch, _: Brokers) -> None:
    flush = GroupCommit._flush

    async def promise(self: GroupCommit[Any], commands: Sequence[PendingCommand[Any]]) -> Sequence[Reply | Exception]:
        try:
            return await flush(self, commands)
        except (asyncpg.PostgresError, SlicelineError):
            return [each.reply for each in commands]

    patch(GroupCommit, "_flush", promise)


def charges_under_a_fresh_key(patch: Patch, _: Brokers) -> None:
    """And does not ask first what became of an earlier attempt."""

    async def charge(self: Provider, payment: Payment) -> Answer:
        amount = {"amount": payment.amount.amount, "currency": payment.amount.currency}
        body = {"reference": payment.order, "amount": amount, "customer": payment.customer}
        return await self._call("POST", "/charges", json=body, key=uuid4().hex)

    async def look_up(self: Provider, order: str) -> Answer:
        return Absent()

    patch(Provider, "charge", charge)
    patch(Provider, "look_up", look_up)


def releases_twice(patch: Patch, _: Brokers) -> None:
    given_up = inventory.given_up

    def always(stock: Stock, recipes: Recipes, fact: OrderRejected | OrderCancelled) -> Outcome:
        before = stock.reservations.get(fact.order)
        if before is None:
            return given_up(stock, recipes, fact)
        opened = {**stock.reservations, fact.order: inventory.Reservation(before.lines, "open")}
        return given_up(Stock(stock.levels, opened, stock.waiting), recipes, fact)

    patch(inventory, "FACTS", {**inventory.FACTS, OrderRejected: always, OrderCancelled: always})


OF_EVENTS: Mapping[str, Plant] = {
    "no inbox": no_inbox,
    "offsets before effects": offsets_before_effects,
    "parks without the key": parks_without_the_key,
    "lets parked keys pass": lets_parked_keys_pass,
    "skips what becomes visible late": skips_what_becomes_visible_late,
    "takes a failed send for done": takes_a_failed_send_for_done,
    "sends the newest first": sends_the_newest_first,
    "publishes before the commit": publishes_before_the_commit,
}
OF_COMMANDS: Mapping[str, Plant] = {
    "forgets idempotency keys": forgets_idempotency_keys,
    "answers before the commit": answers_before_the_commit,
}
