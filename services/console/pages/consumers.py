"""Shows how far each service is with what it reads, and pauses what it does."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import htpy as h
from htpy import Node

from services.console import reading
from services.console.asking import Ask, at
from services.console.elements import (
    OVER,
    WAITS,
    WELL,
    WRONG,
    curl,
    listed,
    live,
    mark,
    notice,
    numbers,
    row,
    seconds,
    table,
)
from services.console.everywhere import Told, ask_all, service_of
from services.console.pages import pausing
from services.console.pages.dead_letters import name_of
from services.console.reading import Behind, Rates
from services.console.routing import Pages
from services.console.shell import Page

Lags = Mapping[str, Behind]
ARCHIVE = "ledger"
BEHIND = 100
"""Records from which a consumer is said to be behind: fewer are on their way at any moment."""

pages = Pages()
pages.section("/consumers", "Consumers", "Operations", "operations.read")
rates = Rates()
_looked: dict[str, tuple[float, Lags]] = {}
"""Is, as the rates are, what was seen lately, whoever looked: when, and the lag by topic."""
LOOK_SECONDS = 5.0
MOST_NAMED = 8
"""Kinds of event that a row names; those who read everything read dozens."""


@pages.page("/consumers", "operations.read", live=True)
async def consumers(ask: Ask) -> Page:
    """Shows all consumers."""
    handled, backlogs, lags = await asyncio.gather(
        ask_all(ask, "/handled"), ask_all(ask, "/backlog"), _lags(ask, ask.services.names)
    )
    names = [name for name, each in handled.answers.items() if reading.partitions(each)]
    body = [
        *handled.notices(),
        _sentence(names, lags, backlogs),
        table(
            ("Service", "State", "Behind", "For", "Level in", "Rate", "Partitions", "Reads", ""),
            [_row(ask, name, handled.answers[name], lags.get(name), backlogs) for name in names],
            "Each service that reads events would be here.",
            "Consumers",
        ),
        h.p(".soft")["The rate is measured while somebody looks, over half a minute."],
    ]
    says = (
        curl("operator", f"{ask.services.address(ARCHIVE)}/catalogue/live"),
        './sliceline pause SERVICE --reason "…"',
        "./sliceline resume SERVICE",
    )
    return Page("Consumers", body, says)


async def _lags(ask: Ask, names: Sequence[str]) -> dict[str, Lags]:
    """Return the lag of services in each topic, asked for no more often than they look at it themselves."""
    now = time.monotonic()
    old = [name for name in names if name not in _looked or now - _looked[name][0] > LOOK_SECONDS]
    told = await ask_all(ask, "/metrics", old)
    _looked.update({name: (now, reading.behind(text)) for name, text in told.answers.items()})
    return {name: _looked[name][1] for name in names if name in _looked and name not in told.away}


def _sentence(names: Sequence[str], lags: Mapping[str, Lags], backlogs: Told) -> Node:
    late = [name for name in names if (lag := _whole(lags.get(name))) and lag.events > BEHIND]
    paused = [name for name in names if _paused(backlogs.answers.get(name))]
    if paused:
        return notice(f"Somebody has paused {', '.join(paused)}. Their events wait in their topics.", WAITS)
    if late:
        return notice(f"{', '.join(late)} {'is' if len(late) == 1 else 'are'} behind.", WAITS)
    return notice("All are level with their topics.", WELL)


def _row(ask: Ask, name: str, handled: Mapping[str, Any], lags: Lags | None, backlogs: Told) -> Node:
    lag, backlog = _whole(lags), backlogs.answers.get(name)
    rate = rates.tell(name, reading.read_so_far(handled), time.monotonic())
    to = at("/consumers/{service}", service=name)
    pause = _paused(backlog)
    return row(
        h.a(href=to)[name],
        _state(lag, pause),
        f"{lag.events:,}" if lag else "–",
        _for(lag),
        _level_in(lag, rate),
        _rate(rate),
        f"{reading.partitions(handled):,}",
        _versions(handled),
        ask.may("operations.act") and h.a(href=f"{to}#pause")["Resume" if pause else "Pause"],
        to=to,
    )


def _whole(lags: Lags | None) -> Behind | None:
    return reading.whole(lags.values()) if lags else None


def _paused(backlog: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    found = backlog["pauses"] if backlog else ()
    return next((each for each in found if each["what"] == "consumer"), None)


def _state(lag: Behind | None, pause: Mapping[str, Any] | None) -> Node:
    if pause:
        return mark("paused", OVER)
    if lag is None:
        return mark("not known", WRONG)
    return mark("behind", WAITS) if lag.events > BEHIND else mark("level", WELL)


def _for(lag: Behind | None) -> str:
    return "–" if lag is None or lag.seconds is None else seconds(math.floor(lag.seconds))


def _level_in(lag: Behind | None, rate: float | None) -> str:
    needed = reading.catching_up(lag, rate)
    if needed is None:
        return "–"
    return "never, so" if math.isinf(needed) else "now" if not needed else seconds(math.ceil(needed))


def _rate(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:,.1f} /s"


def _versions(handled: Mapping[str, Any]) -> Node:
    found = reading.versions(handled)
    if len(found) > MOST_NAMED:
        return h.small[f"{len(found):,} kinds of event: its page names them"]
    return h.small[", ".join(f"{name_of(name)} {' '.join(each)}" for name, each in found.items()) or "nothing yet"]


@pages.page("/consumers/{service}", "operations.read")
async def consumer(ask: Ask) -> Page:
    """Shows one consumer: its partitions, what became of what it read, and what is paused."""
    return await shown(ask)


async def shown(ask: Ask, refused: Mapping[str, str] | None = None) -> Page:
    """Make the page of one consumer; `refused`: what was wrong with what was asked for, by field."""
    service = service_of(ask)
    path = at("/consumers/{service}", service=service)
    body = [
        h.p(".soft")[
            h.a(href="/consumers")["All consumers"],
            " · ",
            h.a(href=at("/dead-letters/{service}", service=service))["Dead letters"],
            " · ",
            h.a(href=f"/jobs?service={service}")["Jobs"],
        ],
        live(f"/live{path}/figures", await figures(ask)),
        h.section("#pause")[await pausing.section(ask, service, refused)],
    ]
    says = (
        f'./sliceline pause {service} --reason "…"',
        f"./sliceline resume {service}",
        curl("operator", f"{ask.services.address(service)}/handled"),
    )
    return Page(f"Consumer {service}", body, says, status=422 if refused else 200)


@pages.part("/consumers/{service}/figures", "operations.read")
async def figures(ask: Ask) -> Node:
    """Tells how one consumer does."""
    service = service_of(ask)
    names = [service] if service == ARCHIVE else [service, ARCHIVE]
    told, lags, standing = await asyncio.gather(
        ask_all(ask, "/handled", names), _lags(ask, [service]), _standing(ask, service)
    )
    if service not in told.answers:
        return told.notices()
    handled = told.answers[service]
    ends = reading.places(told.answers[ARCHIVE]) if ARCHIVE in told.answers and service != ARCHIVE else {}
    lag, rate = _whole(lags.get(service)), rates.tell(service, reading.read_so_far(handled), time.monotonic())
    return [
        standing,
        numbers(
            ("Behind", f"{lag.events:,}" if lag else "–"),
            ("For", _for(lag)),
            ("Level in", _level_in(lag, rate)),
            ("Rate", _rate(rate)),
            ("Partitions", f"{reading.partitions(handled):,}"),
        ),
        h.h2["What it has read"],
        _counts(handled),
        h.h2["Where it is"],
        _places(handled, ends),
    ]


async def _standing(ask: Ask, service: str) -> Node:
    """Tell what is paused, and whether each part of the process runs: what is paused is no process that is well."""
    told, backlogs = await asyncio.gather(ask_all(ask, "/health/ready", [service]), ask_all(ask, "/backlog", [service]))
    paused = [pausing.named(each) for backlog in backlogs.answers.values() for each in backlog["pauses"]]
    waits = notice(f"Somebody has paused {listed(paused)}. What is for it waits.", WAITS) if paused else None
    if service not in told.answers:
        return [waits, notice(f"Not all of it runs: {told.away[service]}", WRONG)]
    return waits or notice("All its parts run.", WELL)


def _counts(handled: Mapping[str, Any]) -> Node:
    heads = ("Event", *(fate.capitalize() for fate in reading.FATES))
    return table(
        heads,
        (
            row(name_of(event_type) if event_type else "of no type", *(f"{counts[fate]:,}" for fate in reading.FATES))
            for event_type, counts in reading.by_type(handled).items()
        ),
        "What became of each event that it read would be here, by type and version.",
        "What became of what it read",
    )


def _places(handled: Mapping[str, Any], ends: Mapping[reading.Place, int]) -> Node:
    return table(
        ("Topic", "Partition", "Goes on at", "Archive is at", "Behind it"),
        (
            row(
                h.a(href=at("/topics/{topic}", topic=topic))[topic],
                str(partition),
                f"{offset:,}" if offset >= 0 else "its beginning, anew",
                f"{ends[topic, partition]:,}" if (topic, partition) in ends else "–",
                f"{max(0, ends[topic, partition] - max(0, offset)):,}" if (topic, partition) in ends else "–",
            )
            for (topic, partition), offset in sorted(reading.places(handled).items())
        ),
        "The partitions that it reads would be here.",
        "Partitions",
    )


@pages.act("/consumers/{service}/pause", "operations.act")
async def pause(ask: Ask) -> str | Page:
    """Pauses the consumer, a key of it, or a kind of job."""
    wrong = await pausing.begin(ask, service_of(ask))
    return await shown(ask, wrong) if wrong else at("/consumers/{service}", service=service_of(ask)) + "#pause"


@pages.act("/consumers/{service}/resume", "operations.act")
async def resume(ask: Ask) -> str | Page:
    """Lets go on what was paused."""
    wrong = await pausing.end(ask, service_of(ask))
    return await shown(ask, wrong) if wrong else at("/consumers/{service}", service=service_of(ask)) + "#pause"
