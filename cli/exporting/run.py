"""Exports what the topics hold and a folder does not."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from aiokafka import AIOKafkaConsumer

from backbone.consuming.broker import Log
from backbone.consuming.claims import redeemed
from backbone.errors import SlicelineError
from backbone.events.records import Record
from backbone.events.topics import PartitionId
from backbone.values.brokers import Brokers
from cli.exporting import folder as writing
from cli.exporting.folder import Chunk, Folder
from cli.exporting.found import UNKNOWN_TYPE, Found, read, unreadable
from cli.exporting.ledger import Place
from cli.exporting.reading import Piece, Span, connected, logs, offsets_since, pieces
from deployment.topics import ours
from services import CATALOGUE

SLACK = timedelta(hours=1)
"""How far the broker's clock, which says when an event arrived, may be behind the database's, whose time it has."""

Tell = Callable[[int, int], None]
"""Is told how many records were read, of how many."""


@dataclass
class Result:
    """Counts what a run did."""

    events: int = 0
    files: int = 0
    repeated: int = 0
    unknown: int = 0
    gone: int = 0
    """Records that retention took away after the run before and before this one."""
    since: str = ""


async def export(kafka: Brokers, topics: list[str] | None, root: Path, since: str | None, tell: Tell) -> Result:
    """Write all events of these topics (default: all of ours) since then that the folder does not hold yet.

    Raises InUse, NotOurs, KafkaError, OSError, and Unreachable where data that lies elsewhere cannot be fetched.
    """
    folder = Folder(root)
    try:
        async with connected(kafka) as consumer:
            wanted = topics or sorted(ours(await consumer.topics(), CATALOGUE))
            return await _Run(consumer, folder, tell).everything(wanted, since)
    finally:
        folder.close()


class _Run:
    def __init__(self, consumer: AIOKafkaConsumer, folder: Folder, tell: Tell) -> None:
        self._consumer, self._folder, self._tell = consumer, folder, tell
        self._result = Result()
        self._reached: dict[PartitionId, Place] = {}

    async def everything(self, topics: list[str], since: str | None) -> Result:
        self._result.since = self._folder.ledger.reach_back(since)
        spans = await self._plan(topics)
        total, done = sum(span.end - span.start for span in spans.values()), 0
        self._tell(0, total)
        chunk = self._begin()
        async for piece in pieces(self._consumer, spans):
            span, before = spans[piece.at], self._reached.get(piece.at)
            self._gather(chunk, await _with_data(piece), span)
            self._reached[piece.at] = Place(span.log, piece.next)
            done += piece.next - (before.next if before else span.start)
            if chunk.size >= writing.LARGEST:
                self._write(chunk)
                chunk = self._begin()
            self._tell(done, total)
        self._write(chunk)
        return self._result

    async def _plan(self, topics: list[str]) -> dict[PartitionId, Span]:
        """Decide what to read of each partition: what is new since the run before, or all that is wanted."""
        found = await logs(self._consumer, topics)
        first = await self._first(found)
        places = self._folder.ledger.places()
        return {at: self._span(log, places.get(at), first[at]) for at, log in found.items()}

    async def _first(self, found: Mapping[PartitionId, Log]) -> dict[PartitionId, int]:
        beginnings = {at: log.beginning for at, log in found.items()}
        if not self._result.since:
            return beginnings
        moment = datetime.fromisoformat(self._result.since) - SLACK
        milliseconds = max(0, int(moment.timestamp() * 1000))
        ends = {at: log.end for at, log in found.items()}
        return beginnings | await offsets_since(self._consumer, ends, milliseconds)

    def _span(self, log: Log, place: Place | None, first: int) -> Span:
        """Go on from a place of this log; where it was made anew or cut back, its events are known by their ids."""
        start = first
        if place and place.log == log.id.hex and place.next <= log.end:
            self._result.gone += max(0, log.beginning - place.next)
            start = max(log.beginning, place.next)
        return Span(log.id.hex, start, log.end)

    def _begin(self) -> Chunk:
        return Chunk(self._folder.ledger.begin())

    def _gather(self, chunk: Chunk, piece: Piece, span: Span) -> None:
        for found in _found(piece, span):
            if found.time < self._result.since:
                continue
            if not self._folder.ledger.is_new(found.source, found.id):
                self._result.repeated += 1
                continue
            chunk.add(found)
            self._result.events += 1
            self._result.unknown += found.type == UNKNOWN_TYPE

    def _write(self, chunk: Chunk) -> None:
        self._result.files += self._folder.write(chunk, self._reached)


async def _with_data(piece: Piece) -> Piece:
    """Return a piece with the data of those events that travel without it. Raises Unreachable."""
    if all(record.value for record in piece.records):
        return piece
    return piece._replace(records=[record if record.value else await _fetched(record) for record in piece.records])


async def _fetched(record: Record) -> Record:
    with suppress(SlicelineError):  # what is not to be had is told in its row
        return await redeemed(record)
    return record


def _found(piece: Piece, span: Span) -> Iterator[Found]:
    if piece.broken:
        yield unreadable(*piece.at, piece.next - 1, piece.broken, span.log)
    for record in piece.records:
        yield read(record, record.timestamp, span.log)
