"""Shows what staff and operators did and who was refused, and whether nobody has changed what is written of it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from shlex import quote
from typing import Any

import htpy as h
from htpy import Node

from services.console.asking import Ask, Refused
from services.console.chains import Stretch, Verifications, Verified, Wanted, stretch
from services.console.elements import (
    OVER,
    WAITS,
    WELL,
    WRONG,
    address,
    choice,
    field,
    identity,
    live,
    mark,
    moment,
    notice,
    row,
    table,
)
from services.console.everywhere import whole_number
from services.console.routing import Pages
from services.console.shell import Page

OF_EACH, OF_ONE = 200, 500
"""Rows that one look goes back in the log of each service where all are asked, and in that of one."""
SHOWN = 500
OUTCOMES = {"done": WELL, "begun": WAITS, "refused": WRONG, "failed": WRONG}
FIELDS = ("service", "actor", "act", "outcome", "since", "until")

pages = Pages()
_verifications = Verifications()
pages.section("/audit", "Audit", "Operations", "operations.read")


@pages.page("/audit", "operations.read")
async def audit(ask: Ask) -> Page:
    """Shows the acts of all services, or of one, the newest first."""
    which = {name: ask.query.get(name, "").strip() for name in FIELDS}
    wanted, wrong = _wanted(which)
    names = _names(ask)
    before = whole_number(ask.query.get("before", "")) if len(names) == 1 else None
    found, away = await _stretches(ask, names, OF_ONE if len(names) == 1 else OF_EACH, before)
    acts = sorted((act for each in found.values() for act in each.acts if wanted.has(act)), key=_newest, reverse=True)
    seen = sum(each.last for each in found.values())
    body = [
        [notice(f"{name} is not among this: {why}", WRONG) for name, why in away.items()],
        _filters(ask, which, wrong),
        _verifying(which["service"]),
        live(address("/live/audit/news", {"service": which["service"], "seen": str(seen)}), None, name="news"),
        table(
            ("When", "Service", "Who", "What", "Outcome", "Correlation"),
            (_row(each) for each in acts[:SHOWN]),
            "What staff and operators do, and who is refused, would be here: a pause, a refund, a redrive.",
            "Acts, the newest first",
        ),
        _looked_at(found, which, len(acts)),
    ]
    option = f" --service {quote(which['service'])}" if which["service"] else ""
    says = (f"./sliceline audit export{option}", f"./sliceline audit verify{option}")
    return Page("Audit", body, says)


@pages.part("/audit/news", "operations.read")
async def news(ask: Ask) -> Node:
    """Tells how many acts there are since the page was made; the rows themselves stay where they are."""
    found, _ = await _stretches(ask, _names(ask), 1, None)
    new = sum(each.last for each in found.values()) - (whole_number(ask.query.get("seen", "")) or 0)
    if new <= 0:
        return None
    return h.p[h.a(".act", href=address("/audit", {"service": ask.query.get("service")}))[f"{new:,} new: show them"]]


def _names(ask: Ask) -> list[str]:
    chosen = ask.query.get("service", "").strip()
    return [chosen] if chosen in ask.services.names else list(ask.services.names)


async def _stretches(
    ask: Ask, names: Sequence[str], most: int, before: int | None
) -> tuple[dict[str, Stretch], dict[str, str]]:
    """Return the acts of each service, and why those of others are not known."""
    found = await asyncio.gather(*(_stretch(ask, name, most, before) for name in names))
    pairs = list(zip(names, found, strict=True))
    return (
        {name: each for name, each in pairs if isinstance(each, Stretch)},
        {name: str(each) for name, each in pairs if isinstance(each, Refused)},
    )


async def _stretch(ask: Ask, service: str, most: int, before: int | None) -> Stretch | Refused:
    try:
        return await stretch(ask, service, most, before)
    except Refused as refused:
        return refused


def _wanted(which: Mapping[str, str]) -> tuple[Wanted, dict[str, str]]:
    """Read what is looked for, and say which of it cannot be read."""
    wrong: dict[str, str] = {}
    times = {name: _moment(which[name], name, wrong) for name in ("since", "until")}
    return Wanted(which["actor"], which["act"], which["outcome"], times["since"], times["until"]), wrong


def _moment(text: str, name: str, wrong: dict[str, str]) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        wrong[name] = "is no time: 2026-11-29 or 2026-11-29T12:00Z"
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _newest(act: Mapping[str, Any]) -> tuple[datetime, int]:
    return datetime.fromisoformat(act["at"]), act["number"]


def _filters(ask: Ask, which: Mapping[str, str], wrong: Mapping[str, str]) -> Node:
    services = {"": "all", **{name: name for name in ask.services.names}}
    return h.form(".filters", action="/audit")[
        choice("service", "Service", services, which["service"]),
        field("actor", "Who", which["actor"], placeholder="olga"),
        field("act", "What", which["act"], placeholder="POST /pauses"),
        choice("outcome", "Outcome", {"": "any", **{name: name for name in OUTCOMES}}, which["outcome"]),
        field("since", "Since (UTC)", which["since"], error=wrong.get("since"), placeholder="2026-11-29"),
        field("until", "Before (UTC)", which["until"], error=wrong.get("until"), placeholder="2026-11-29T12:00"),
        h.button(type="submit")["Show"],
        any(which.values()) and h.a(href="/audit")["All"],
    ]


def _verifying(service: str) -> Node:
    return h.form(".inline", action="/audit/verified")[
        service and h.input(type="hidden", name="service", value=service),
        h.button(type="submit")["Verify the chain"],
        h.small["Each row vouches for all before it; the archive was told of each."],
    ]


def _row(act: Mapping[str, Any]) -> Node:
    times = f" × {act['count']:,}" if act.get("count", 1) > 1 else ""
    return row(
        moment(act["at"]),
        act["service"],
        act["actor"],
        [h.code[act["what"]], act["path"] != act["what"].partition(" ")[2] and [h.br, h.small[act["path"]]]],
        mark(f"{act['outcome']} {act['status']}{times}", OUTCOMES.get(act["outcome"], OVER)),
        # No link: what an act does to an order goes on with the order's own story, and most acts tell no event.
        identity(act["correlationid"], short=12),
    )


def _looked_at(found: Mapping[str, Stretch], which: Mapping[str, str], count: int) -> Node:
    """Say how far back this look went, and lead further."""
    rows, whole = sum(len(each.acts) for each in found.values()), sum(each.last for each in found.values())
    waiting = sum(each.waiting for each in found.values())
    query = {name: value for name, value in which.items() if value}
    said = f"{min(count, SHOWN):,} of {count:,} found in {rows:,} of {whole:,} rows."
    return h.p(".more")[
        said,
        (waiting and f" {waiting:,} more have no place in the chain yet.") or "",
        [_further(name, each, query) for name, each in found.items() if each.first > 1],
    ]


def _further(name: str, each: Stretch, query: Mapping[str, str]) -> Node:
    to = address("/audit", {**query, "service": name, "before": str(each.first)})
    return [" ", h.a(href=to, rel="next")[f"{name}: before row {each.first:,}"]]


@pages.page("/audit/verified", "operations.read")
async def verified(ask: Ask) -> Page:
    """Goes over the logs, and tells of each whether it is whole."""
    names = _names(ask)
    found = await _verifications.verify_all(ask, names)
    body = [
        h.p(".soft")[h.a(href=address("/audit", {"service": ask.query.get("service")}))["The acts"]],
        finding(found),
        table(
            ("Service", "Log", "Rows", "Told by the archive", "What was found"),
            (_verdict(each) for each in found),
            "Each service's log would be here.",
            "Logs of acts",
        ),
    ]
    option = f" --service {names[0]}" if len(names) == 1 else ""
    return Page("Audit: the chain", body, (f"./sliceline audit verify{option}",))


def finding(found: Sequence[Verified]) -> Node:
    """Say what is known of all logs: who writes a whole one anew is found out by the archive alone."""
    if broken := [each.service for each in found if not each.is_whole]:
        return notice(f"Look at {', '.join(broken)}.", WRONG)
    if alone := [each.service for each in found if each.told is None]:
        said = "Every row vouches for all before it. Whether a whole log was written anew nobody can tell of"
        return notice(f"{said} {', '.join(alone)}: no ledger could be asked what it was told.", WAITS)
    return notice("Nobody has changed what was written: every row vouches for all before it.", WELL)


def _verdict(each: Verified) -> Node:
    told = "nobody could be asked" if each.told is None else f"{each.told:,} events"
    return row(
        h.a(href=address("/audit", {"service": each.service}))[each.service],
        mark("whole", WELL) if each.is_whole else mark("look", WRONG),
        f"{each.rows:,}" if each.is_whole else "–",
        told if each.is_whole else "–",
        each.said,
    )
