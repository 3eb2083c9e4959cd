"""Gathers what a question is decided by: archived events, and where each service stands, as it says itself."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from backbone.events.envelope import is_type
from backbone.storage.database import Database
from services import CATALOGUE
from services.ledger import archive, links, outlets
from services.ledger.asking import Services
from services.ledger.kept import Archived, as_patterns_see_it
from services.ledger.links import Answer, Broken, Facts, Seen
from services.ledger.outlets import ROUTER, WEBHOOKS, Endpoint, Rule
from services.ledger.standing import Standing, asked_of, standing
from services.ledger.why import LEDGER, Unasked, keys_of, why
from services.ledger.wiring import Wiring, short, wiring

T = TypeVar("T")
WIRING: Wiring = wiring(tuple(CATALOGUE))
MOST_EVENTS = 1000
"""So many events are looked at of an order, and of what its commands have set off."""

_UNEXPECTED = (msgspec.ValidationError, LookupError, TypeError)
"""What an answer raises that is not what it should be."""
_MOST_KEYS = 20
"""Of so many keys a service is asked what it has parked or given up; an order's events have few."""
MOST_LEVELS = 2000
"""So many of a SKU's events are looked at."""


async def events_of(database: Database, key: str) -> list[Archived]:
    """Return the events about a thing: those under its key, and what its commands have set off under others."""
    own = await archive.of_key(database, key, MOST_EVENTS)
    stories = {event.correlationid for event in own}
    every = {(event.source, event.id): event for event in await archive.of_stories(database, stories, MOST_EVENTS)}
    every |= {(event.source, event.id): event for event in own}
    known = [event for event in every.values() if is_type(event.type)]
    return sorted(known, key=lambda event: (event.time, event.source, event.sequence, event.id))


async def levels_of(database: Database, sku: str, until: datetime) -> list[Archived]:
    """Return the last events about a SKU up to a moment: of one that sells well there are too many."""
    return [event for event in await archive.newest_of_key(database, sku, until, MOST_LEVELS) if is_type(event.type)]


class Inquiry:
    """Asks services what is wanted of them, each thing once, however many orders it is for."""

    def __init__(self, database: Database, services: Services) -> None:
        self._database = database
        self._services = services
        self._said: dict[tuple[str, str], asyncio.Task[Any]] = {}

    async def why(self, order: str, target: str, events: Sequence[Archived]) -> Answer:
        """Say why an event has not happened to an order, or whether a service has done its part."""
        story = story_of(order, events)
        standings: dict[str, Standing] = {}
        while True:  # only those on the way are asked, and each once
            try:
                return why(Facts(order, story, WIRING, standings, self._database.now()), target)
            except Unasked as error:
                standings[error.service] = await self._standing(error.service, order, story)

    async def why_outlet(self, order: str, expected: str, events: Sequence[Archived]) -> Answer:
        """Say why a rule has passed no event of an order on, or an endpoint got none. Raises NotKnown."""
        kind, _, name = expected.partition(":")
        service = ROUTER if kind == outlets.RULE else WEBHOOKS
        found = await (self._why_rule if kind == outlets.RULE else self._why_endpoint)(name, story_of(order, events))
        if found is None:
            return Answer(None, links.silent(service), ())
        if found.happened or found.broken:
            return found
        own = await self.why(order, service, events)  # it matches, so the service itself is asked how far it is
        broken = own.broken or Broken("nothing-told", service, outlets.NOTHING_CAME, f"./sliceline logs {service}")
        return Answer(None, broken, (*found.chain, *own.chain))

    async def _why_rule(self, name: str, story: Sequence[Seen]) -> Answer | None:
        rules = await self._everything(ROUTER, "/rules", Rule)
        return None if rules is None else outlets.why_rule(outlets.named(rules, name), story, self._address(ROUTER))

    async def _why_endpoint(self, name: str, story: Sequence[Seen]) -> Answer | None:
        endpoints = await self._everything(WEBHOOKS, "/endpoints", Endpoint)
        if endpoints is None:
            return None
        endpoint = outlets.of_name(endpoints, name)
        paths = [f"/endpoints/{quote(endpoint.id, safe='')}/deliveries/{quote(event.id, safe='')}" for event in story]
        found = await asyncio.gather(*(self._ask(WEBHOOKS, path) for path in paths))
        try:
            deliveries = [outlets.delivery(each) for each in found if each is not None]
        except _UNEXPECTED:
            return None
        return outlets.why_endpoint(endpoint, story, deliveries, self._address(WEBHOOKS))

    async def _everything(self, service: str, path: str, kind: type[T]) -> list[T] | None:
        """Read a list page by page; None where nobody answers, or with something else."""
        found, after = list[T](), ""
        while True:
            page = await self._ask(service, f"{path}?limit=200{after}")
            try:
                found += msgspec.convert(page["items"], list[kind])  # type: ignore[valid-type]  # a caller says which
                following = page["next"]
            except _UNEXPECTED:
                return None
            if following is None:
                return found
            after = f"&after={quote(str(following), safe='')}"

    def _address(self, service: str) -> str:
        return self._services.addresses.get(service, "")

    async def _standing(self, service: str, order: str, story: Sequence[Seen]) -> Standing:
        keys = [order, *sorted({event.key for event in story} - {order})][:_MOST_KEYS]
        asked = asked_of(order, keys, sorted(keys_of(order, story)))
        said = await asyncio.gather(*(self._ask(service, path) for _, path in asked))
        return standing(
            self._address(service), [(name, answer) for (name, _), answer in zip(asked, said, strict=True)], order
        )

    async def _ask(self, service: str, path: str) -> Any:
        if (service, path) not in self._said:
            self._said[service, path] = asyncio.ensure_future(self._services.get(service, path))
        return await self._said[service, path]


def story_of(order: str, events: Sequence[Archived]) -> list[Seen]:
    """Return those events that are about this order: by their key, or because one of the order's led to them.

    One command may place many orders; then each has its own events, and only these.
    """
    causes = {event.id for event in events if event.key == order}
    return [seen(event) for event in events if event.key == order or event.causationid in causes]


def seen(event: Archived) -> Seen:
    """Take of an event what the wiring needs."""
    return Seen(
        id=event.id,
        type=event.type,
        time=event.time,
        topic=event.topic,
        partition=event.partition,
        offset=event.offset,
        key=event.key,
        occurrenceid=event.occurrenceid,
        causationid=event.causationid,
        whole=as_patterns_see_it(event),
    )


async def states(
    services: Services, of: str, key: str, at: datetime, events: Sequence[Archived]
) -> list[dict[str, Any]]:
    """Have each service rebuild its state of a thing from the archived events that concern it."""
    asked = [service for service in CATALOGUE if service != LEDGER]
    return await asyncio.gather(*(_state(services, service, of, key, at, events) for service in asked))


async def _state(
    services: Services, service: str, of: str, key: str, at: datetime, events: Sequence[Archived]
) -> dict[str, Any]:
    told = [as_patterns_see_it(event) for event in events if _concerns(service, short(event.type))]
    body = {"of": of, "key": key, "at": at.isoformat(), "events": told}
    answer = await services.post(service, "/state", body)
    if answer is None:
        return {"service": service, "rebuilt": False, "why": "It does not answer."}
    return {"service": service, **answer}


def _concerns(service: str, name: str) -> bool:
    return WIRING.publisher(name) == service or name in WIRING.reads.get(service, ())
