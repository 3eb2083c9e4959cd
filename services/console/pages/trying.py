"""Tries patterns on what was archived: which events would have matched, and why one would not. Nothing is sent."""

import asyncio
from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from services.console.asking import Ask, Refused, at
from services.console.elements import OVER, WAITS, WELL, WRONG, curl, field, notice
from services.console.forms import NotJson, area, read_json
from services.console.masked import PLAIN
from services.console.pages import tailing
from services.console.pages.rules import PATTERN, told
from services.console.routing import Pages
from services.console.shell import Page

pages = Pages()


@pages.page("/rules/try", "ledger.read")
async def attempt(ask: Ask) -> Page:
    """Tries a pattern on the archive: which events would have matched, and why one would not."""
    text, event = ask.query.get("pattern", ""), ask.query.get("event", "").strip()
    form = h.form(method="get", action="/rules/try")[
        area("pattern", "Pattern", text or PATTERN, rows="6", maxlength="4000"),
        field("event", "Why not this event?", event, placeholder="an event's id; may be left out"),
        h.button(".main", type="submit")["Try it on the archive"],
        " ",
        ask.may("rules.write") and h.button(type="submit", formaction="/rules/new")["Make a rule of it"],
    ]
    says = (
        curl("reader", f"{ask.services.address('router')}/rules/test", '{"pattern": PATTERN, "event": EVENT}'),
        *tailing.said(ask)[:1],
    )
    if not text:
        return Page("Try a pattern", form, says)
    try:
        found, outcome = await asyncio.gather(tailing.listed(ask), _why(ask, text, event))
    except NotJson as error:
        return Page("Try a pattern", [form, notice(f"The pattern {error}", WRONG)], says, 422)
    except Refused as refused:
        return Page("Try a pattern", [form, notice(told(refused), WRONG)], says, refused.status)
    body = [
        form,
        outcome,
        h.h2["What would have matched"],
        notice(_matching(found), WELL if found["items"] else OVER),
        tailing.rows(ask, found),
        tailing.older(ask, "/rules/try", found),
    ]
    return Page("Try a pattern", body, says)


async def _why(ask: Ask, text: str, event: str) -> Node:
    """Say why an event does not match. Raises Refused and NotJson."""
    if not event or not ask.may("rules.read"):
        return None
    found = await ask.found("ledger", at("/events/{event}", event=event))
    if found is None:
        return notice(f"No event {event} is kept.", WRONG)
    outcome = await ask.act("POST", "router", "/rules/test", {"pattern": read_json(text), "event": _as_told(found)})
    if outcome["matches"]:
        return notice(["The event ", h.code[event], " matches."], WELL)
    reasons = (_reason(each, with_values=ask.may(PLAIN)) for each in outcome["reasons"])
    return notice(["It does not match.", h.ul[reasons]], WAITS)


def _as_told(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as patterns see it."""
    names = ("id", "source", "type", "subject", "time", "correlationid", "data")
    return {**{name: event[name] for name in names}, "partitionkey": event["key"]}


def _reason(reason: Mapping[str, Any], *, with_values: bool) -> Node:
    found = f"; there is {', '.join(map(repr, reason['found'])) or 'nothing'}" if with_values else ""
    return h.li[reason["message"], found]


def _matching(found: Mapping[str, Any]) -> str:
    number = len(found["items"])
    return f"{number:,}{' and more' if found['next'] else ''} of {found['looked_at']:,} events that were looked at."
