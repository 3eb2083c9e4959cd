"""Rebuilds a read model from the archive beside the live one, compares them, and swaps them: for `replay --shadow`."""

import asyncio
import importlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from backbone.consuming import comparing, parking, shadow
from backbone.consuming.batch import Batch, Incoming, Letter
from backbone.consuming.comparing import Compared
from backbone.consuming.fingerprints import first_own, own_frames
from backbone.consuming.handlers import topics_of
from backbone.consuming.replaying import Archived, Outcome, Replaying, as_archived
from backbone.consuming.settling import Settling
from backbone.consuming.shadow import SCHEMA, ShadowDatabase
from backbone.running.pulse import Pulse
from backbone.service import Service
from backbone.storage.database import Tx
from backbone.storage.statement import Statement
from services import CATALOGUE

if TYPE_CHECKING:
    import httpx

MOST = 1000
"""Events of a page."""
SHOWN = 20
"""Different rows that are shown of a table."""
LEVEL_WITHIN = 10.0
"""Seconds for the archive to get what the service has already, while the service waits."""

# What the live inbox knows of and the shadow's does not, among what the service has handled.
_AHEAD = Statement(f"""
SELECT count(*) FROM public.inbox AS live WHERE NOT EXISTS (
  SELECT FROM {SCHEMA}.inbox AS s
  WHERE s.consumer = live.consumer AND s.name = live.name AND s.occurrence = live.occurrence)
""")  # noqa: S608  our own text
_REMEMBER = Statement(f"INSERT INTO public.inbox SELECT * FROM {SCHEMA}.inbox ON CONFLICT DO NOTHING")  # noqa: S608  our own text


class NoReadModel(Exception):
    """The service's tables do not come from events alone."""


class NotLevel(Exception):
    """What is live and what was rebuilt are not of the same events."""


class _Page(msgspec.Struct):
    events: list["_Event"]
    count: int
    next: str | None
    last: str | None


class _Event(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    recorded_at: datetime
    key: bytes
    headers: list[tuple[str, bytes | None]]
    value: bytes

    def archived(self) -> Archived:
        place = self.topic, self.partition, self.offset
        return as_archived(Letter(*place, self.key, self.value, self.headers), self.recorded_at)


def service_of(name: str) -> Service[Any]:
    """Return a service whose tables come from events alone. Raises NoReadModel."""
    service = _loaded(name)
    if others := _writers_beside_events(service):
        possible = ", ".join(each for each in CATALOGUE if not _writers_beside_events(_loaded(each)))
        raise NoReadModel(
            f"{name} has {' and '.join(others)}: what its tables hold came not from events alone, so that events alone "
            f"cannot rebuild it. Those that can be rebuilt: {possible or 'none'}.\n"
            f"Feed it what it missed: ./sliceline replay --to {name}\n"
            f"After its tables were lost, put back a backup of them, then: ./sliceline heal {name}"
        )
    return service


def _loaded(name: str) -> Service[Any]:
    service: Service[Any] = importlib.import_module(f"services.{name}.service").SERVICE
    return service


def _writers_beside_events(service: Service[Any]) -> list[str]:
    """Name what else than events writes a service's tables."""
    methods = {method for route in service.router.routes for method in getattr(route, "methods", ())}
    return [*(["jobs"] if service.jobs else []), *(["commands"] if methods - {"GET", "HEAD"} else [])]


class _Filling(Replaying):
    """Feeds a shadow; counts what it cannot handle by kind, as a log line for each would tell of its customer."""

    def __init__(self, service: Service[Any], database: ShadowDatabase) -> None:
        super().__init__(service.name, service.handlers, database)
        self.kinds: Counter[str] = Counter()

    async def park(self, batch: Batch, error: Exception) -> None:
        await super().park(batch, error)
        self.kinds[_kind(batch.incoming[0], error)] += 1

    async def _write_off(self, tx: Tx, incoming: Incoming, error: Exception) -> None:
        await parking.write(tx, self._name, incoming, error)


def _kind(incoming: Incoming, error: Exception) -> str:
    """Name a kind of failure without the error's words: they may tell of a customer."""
    where = first_own(own_frames(error))
    named = parking.type_of(incoming.record) or incoming.record.topic
    return f"{named}: {type(error).__name__}{f' in {where}' if where else ''}"


@dataclass
class Rebuilding:
    """Fills the shadow of one service."""

    service: Service[Any]
    url: str
    ledger: "httpx.Client"
    tell: Callable[[int], None] = lambda _: None
    done: int = 0
    after: str | None = None
    replaying: _Filling = field(init=False)

    def __post_init__(self) -> None:
        self.database = ShadowDatabase(self.url, self.service.name)
        self.replaying = _Filling(self.service, self.database)

    @property
    def parked(self) -> int:
        """How many events could not be handled, or wait behind one that could not."""
        return self.replaying.outcomes[Outcome.PARKED]

    @property
    def failures(self) -> "Counter[str]":
        """How many events could not be handled, by the kind of failure."""
        return self.replaying.kinds

    @property
    def types(self) -> list[str]:
        """Every type that the service reads."""
        return sorted({view.TYPE for view in self.replaying.views.values()})

    def count(self) -> int:
        """Ask the ledger how many events there are."""
        return int(self._asked("/records/count", types=self.types)["count"])

    async def feed(self) -> None:
        """Feed what the archive has and the shadow has not; the next page is read while one is handled."""
        settling = Settling(self.replaying, Pulse("shadow"), asyncio.Event(), lambda _: None)
        coming: asyncio.Future[tuple[_Page, Batch]] | None = self._ask()
        while coming is not None:
            page, batch = await coming
            self.after = page.last or self.after
            coming = self._ask() if page.next else None
            await settling.settle(batch)
            self.done += page.count
            self.tell(self.done)

    def count_incomplete_keys(self, topics: list[str]) -> int:
        """Ask the ledger of how many keys in these topics it lacks events."""
        return int(self._asked("/records/incomplete", topics=topics)["incomplete_keys"])

    def _asked(self, path: str, **query: Any) -> Any:
        return self.ledger.get(path, params=query).raise_for_status().json()

    def _ask(self) -> "asyncio.Future[tuple[_Page, Batch]]":
        return asyncio.ensure_future(asyncio.to_thread(self._page, self.after))

    def _page(self, after: str | None) -> tuple[_Page, Batch]:
        going_on = {} if after is None else {"after": after}
        answer = self.ledger.get("/records", params={"types": self.types, "limit": MOST, **going_on})
        page = msgspec.json.decode(answer.raise_for_status().content, type=_Page)
        return page, self.replaying.batch_of([each.archived() for each in page.events])


async def rebuilt(rebuilding: Rebuilding, *, swap: bool) -> list[Compared]:
    """Rebuild, compare, and swap if told to; the shadow is gone afterwards. Raises NotLevel."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(rebuilding.url)
    try:
        await shadow.make(connection)
        await shadow.give_up(connection)
        await rebuilding.feed()
        if swap:
            _refuse_incomplete(rebuilding)
            async with connection.transaction():
                return await _swapped(connection, rebuilding)
        return await _compared(connection)
    finally:
        await rebuilding.database.close()
        await shadow.drop(connection)
        await connection.close()


async def _compared(connection: Any) -> list[Compared]:
    for name in await shadow.tables(connection):
        await connection.execute(f'ANALYZE {SCHEMA}."{name}"')
    return [await comparing.compare(connection, name, SHOWN) for name in await shadow.tables(connection)]


async def _swapped(connection: Any, rebuilding: Rebuilding) -> list[Compared]:
    """Have the service wait, come level with it, and put the rebuilt rows in place of the live ones."""
    await connection.execute("SET LOCAL lock_timeout = '10s'; LOCK TABLE public.inbox IN SHARE ROW EXCLUSIVE MODE")
    until = time.monotonic() + LEVEL_WITHIN
    while ahead := await _AHEAD.fetchval(connection):
        if time.monotonic() > until:
            raise NotLevel(f"The service knows of {ahead} events that the archive has not got. Nothing was changed.")
        await rebuilding.feed()
        await asyncio.sleep(0.5)
    compared = await _compared(connection)
    for each in compared:
        await comparing.replace(connection, each.table)
    await _REMEMBER.execute(connection)
    return compared


def _refuse_incomplete(rebuilding: Rebuilding) -> None:
    topics = topics_of(rebuilding.service.handlers)
    if number := rebuilding.count_incomplete_keys(topics):
        raise NotLevel(
            f"The archive lacks events of {number} keys in {', '.join(topics)}: what came of those would be lost. "
            "Nothing was changed."
        )
