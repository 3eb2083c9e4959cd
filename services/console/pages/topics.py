"""Shows the topics: how much comes in each, who reads it and how far behind, and its events as they come."""

import asyncio
from collections.abc import Mapping
from shlex import quote
from typing import Any

import htpy as h
from htpy import Node

from services.console.asking import Ask, Refused, at
from services.console.elements import WAITS, WELL, WRONG, curl, live, mark, moment, notice, numbers, row, table
from services.console.pages.tailing import filters, listed, masking_note, newer_than_seen, reading, said, tailed
from services.console.routing import Pages
from services.console.shell import Page
from services.console.traffic import Traffic, traffic_of

pages = Pages()
pages.section("/topics", "Topics", "Events", "ledger.read")

FAR_BEHIND = 1000
"""Records of one topic that a reader is behind, from which on it is shown as wrong."""


@pages.page("/topics", "ledger.read", live=True)
async def topics(ask: Ask) -> Page:
    """Lists the topics with what came lately, and who reads them."""
    traffic = await traffic_of(ask)
    body = [
        table(
            ("Topic", "In the last minute", "Last one", "Read by", "Behind"),
            (_row(traffic, each) for each in traffic.topics),
            "No service tells of a topic yet: they are made when the shop starts.",
            "Topics",
        ),
        h.p(".more")[f"All {len(traffic.topics)} topics; {len(traffic.reading)} services read them."],
        unanswered(traffic),
    ]
    return Page("Topics", body, _says(ask))


@pages.page("/topics/{topic}", "ledger.read")
async def topic(ask: Ask) -> Page:
    """Shows what comes in a topic, who reads it, and its events, the newest first."""
    name, path = ask.path["topic"], _path(ask)
    traffic, found = await asyncio.gather(traffic_of(ask), _listed(ask))
    if isinstance(found, Refused):
        shown = [filters(ask, path, found.errors, found), notice(found.detail or found.title, WRONG)]
        return Page(name, shown, status=422)
    body = [
        live(f"/live/standing{path}", _standing(traffic, name), name="standing"),
        h.h2["Events"],
        filters(ask, path),
        masking_note(ask),
        reading(ask, path, found),
    ]
    return Page(name, body, (*said(ask, name), f"./sliceline events {quote(name)} --follow"))


@pages.part("/standing/topics/{topic}", "ledger.read")
async def standing(ask: Ask) -> Node:
    """Shows what comes in a topic, and how far its readers are."""
    return _standing(await traffic_of(ask), ask.path["topic"])


@pages.part("/tail/topics/{topic}", "ledger.read")
async def tail(ask: Ask) -> Node:
    """Shows the newest events of a topic."""
    return tailed(ask, _path(ask), await listed(ask, ask.path["topic"]))


@pages.part("/newer/topics/{topic}", "ledger.read")
async def newer(ask: Ask) -> Node:
    """Says how many events of a topic are newer than what somebody reads."""
    return await newer_than_seen(ask, _path(ask), ask.path["topic"])


def behind(number: int) -> Node:
    """Show how far behind a reader is."""
    if not number:
        return mark("up to date", WELL)
    return mark(f"{number:,} behind", WRONG if number >= FAR_BEHIND else WAITS)


def unanswered(traffic: Traffic) -> Node:
    """Say who did not tell how far it is."""
    if not traffic.silent:
        return None
    return notice(f"{', '.join(traffic.silent)} did not answer: what is said of it here is not known now.", WRONG)


async def _listed(ask: Ask) -> Mapping[str, Any] | Refused:
    try:
        return await listed(ask, ask.path["topic"])
    except Refused as refused:
        if refused.status != 422:
            raise
        return refused


def _row(traffic: Traffic, topic: str) -> Node:
    to = at("/topics/{topic}", topic=topic)
    readers = traffic.readers(topic)
    last = traffic.last(topic)
    return row(
        h.a(href=to)[topic],
        f"{traffic.count(topic):,}",
        moment(last) if last else h.span(".soft")["before that"],
        f"{len(readers)} services" if len(readers) != 1 else next(iter(readers)),
        _furthest(readers),
        to=to,
    )


def _furthest(readers: Mapping[str, int]) -> Node:
    if not readers:
        return h.span(".soft")["nobody reads it"]
    name = max(readers, key=lambda each: readers[each])
    return [behind(readers[name]), f" {name}" if readers[name] else None]


def _standing(traffic: Traffic, topic: str) -> Node:
    readers = traffic.readers(topic)
    kinds = ((name, each.events) for name, each in traffic.kinds(topic).items())
    return [
        numbers(
            ("In the last minute", f"{traffic.count(topic):,} events"),
            *(
                (h.a(href=at("/contracts/{type}", type=name))[name.removeprefix("sliceline.")], f"{number:,}")
                for name, number in kinds
            ),
        ),
        h.h2["Read by"],
        h.ul(".chips")[(_reader(*each) for each in sorted(readers.items()))] if readers else h.p["Nobody reads it."],
        unanswered(traffic),
    ]


def _reader(name: str, lag: int) -> Node:
    return h.li[h.a(href=at("/consumers/{service}", service=name))[name], " ", behind(lag)]


def _path(ask: Ask) -> str:
    return at("/topics/{topic}", topic=ask.path["topic"])


def _says(ask: Ask) -> tuple[str, ...]:
    ledger = ask.services.address("ledger")
    return (curl("reader", f"{ledger}/rates"), curl("reader", f"{ledger}/catalogue/live"), "./sliceline status")
