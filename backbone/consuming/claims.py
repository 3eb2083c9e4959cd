"""Fetches the data of events that travel without it (claim check), before the transaction that handles them begins.

From there on such an event is what it would be had its data come along: so it is checked, handled, kept and parked.
Where the data is missing, or is not what was put there, the event is broken and parked as it came: a redrive fetches
again. A store that cannot be reached is waited for.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace as replaced
from functools import partial
from typing import TypeVar

import asyncpg
from msgspec.structs import replace

from backbone.consuming import parking
from backbone.consuming.batch import Batch, Incoming, Letter, NotFetched, read
from backbone.errors import SlicelineError
from backbone.events import dataref
from backbone.events.payload import Payload
from backbone.events.records import Record
from backbone.storage import objects

MOST_AT_ONCE = 16 * 1024 * 1024
"""Bytes that are fetched for one batch; one with more is settled in halves."""

T = TypeVar("T")
Views = Mapping[str, type[Payload]]


def are_too_much(batch: Batch) -> bool:
    """Tell whether the data of a batch's claims is more than is fetched at once."""
    return sum(_length_of(batch.incoming[at]) for at in batch.not_fetched) > MOST_AT_ONCE


def _length_of(incoming: Incoming) -> int:
    try:
        return dataref.parse(_reference_of(incoming)).length
    except dataref.ForeignReference:
        return 0


def _reference_of(incoming: Incoming) -> str:
    assert isinstance(incoming.broken, NotFetched)  # noqa: S101  nothing else is fetched
    return incoming.broken.dataref


async def redeem(batch: Batch, views: Views, beat: Callable[[], None]) -> Batch:
    """Return a batch in which no event is without its data; one whose data is not to be had is broken.

    `beat` is called before every question to the store. Raises Unreachable, which passes.
    """
    fetched = await redeem_all([batch.incoming[at] for at in batch.not_fetched], views, beat)
    there = dict(zip(batch.not_fetched, fetched, strict=True))
    return replaced(batch, incoming=[there.get(at, each) for at, each in enumerate(batch.incoming)])


async def redeem_all(
    incoming: Sequence[Incoming], views: Views, beat: Callable[[], None] = lambda: None
) -> list[Incoming]:
    """Return events that came without their data as if it had come along; see `redeem`."""
    return await objects.side_by_side([partial(_redeemed, each, views, beat) for each in incoming])


async def _redeemed(incoming: Incoming, views: Views, beat: Callable[[], None]) -> Incoming:
    beat()
    try:
        data = await objects.fetch(_reference_of(incoming))
    except SlicelineError as error:
        return replace(incoming, broken=error)
    return replace(read(_with_data(incoming.record, data), views), tried=incoming.tried)


async def redeemed(record: Record) -> Record:
    """Return a record as it would be had its data come along; most did.

    Raises SlicelineError where the data is not to be had, and Unreachable.
    """
    reference = None if record.value else dict(record.headers).get(dataref.HEADER)
    if reference is None:
        return record
    return _with_data(record, await objects.fetch(reference.decode(errors="replace")))


def _with_data(record: Record, data: bytes) -> Letter:
    """Put data into its record, and take the reference out: whoever keeps the record keeps all of it."""
    headers = [each for each in record.headers if each[0] != dataref.HEADER]
    if isinstance(record, Letter):
        return replaced(record, value=data, headers=headers)
    place = record.topic, record.partition, record.offset
    return Letter(*place, record.key, data, headers, record.timestamp)


class _Wanting(SlicelineError):
    """Dead letters cannot be decoded before their data is fetched."""

    def __init__(self, letters: Mapping[int, Incoming]) -> None:
        super().__init__()
        self.letters = letters


class Letters:
    """Decodes dead letters in a transaction, for which no data is fetched while it lasts."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._fetched: dict[int, Incoming] = {}

    def decode(self, rows: Sequence[asyncpg.Record]) -> list[Incoming]:
        """Decode letters as if they had just arrived. Raises what `fetching` catches."""
        incoming = [self._decoded(row) for row in rows]
        if wanting := {
            row["id"]: each for row, each in zip(rows, incoming, strict=True) if isinstance(each.broken, NotFetched)
        }:
            raise _Wanting(wanting)
        return incoming

    def _decoded(self, row: asyncpg.Record) -> Incoming:
        incoming = parking.incoming_of(row, self._views)
        return self._fetched.get(row["id"], incoming) if isinstance(incoming.broken, NotFetched) else incoming

    async def fetching(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do work that decodes letters in a transaction; where one's data has to be fetched first, do it all again.

        The transaction ends without effect, the data is fetched, and the work meets it when it begins anew.
        """
        self._fetched = {}
        while True:
            try:
                return await work()
            except _Wanting as met:
                fetched = await redeem_all([*met.letters.values()], self._views)
                # Beside what is there: the work may come to one letter after the other.
                self._fetched |= dict(zip(met.letters, fetched, strict=True))


def is_wanting(error: Exception) -> bool:
    """Tell whether work has ended because data has to be fetched first."""
    return isinstance(error, _Wanting)
