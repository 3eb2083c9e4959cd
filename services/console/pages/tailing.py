"""Shows events as they come, the newest first, and those of any time that somebody looks for."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import htpy as h
from htpy import Node

from services.console import forms
from services.console.asking import Ask, Refused, at
from services.console.elements import address, curl, field, identity, live, moment, notice, table
from services.console.masked import PLAIN, brief, masked
from services.console.routing import Pages
from services.console.shell import Page

pages = Pages()
pages.section("/events", "Events", "Events", "ledger.read")

MOST = 50
"""Events on a page."""
COUNTED = 200
"""New events that are counted while one reads older ones."""
FILTERS = ("type", "key", "text", "pattern")
JUMPS = {"10 min earlier": -10, "1 min earlier": -1, "1 min later": 1, "10 min later": 10}


@pages.page("/events", "ledger.read")
async def events(ask: Ask) -> Page:
    """Shows the newest events as they come, or those before a moment."""
    try:
        found = await listed(ask)
    except Refused as refused:
        if refused.status != 422:
            raise
        return Page("Events", [_form(ask, refused), notice(refused.detail or refused.title, "wrong")], status=422)
    return Page("Events", [_form(ask), reading(ask, "/events", found)], said(ask))


@pages.part("/tail/events", "ledger.read")
async def tail(ask: Ask) -> Node:
    """Shows the newest events that fit."""
    return tailed(ask, "/events", await listed(ask))


@pages.part("/newer/events", "ledger.read")
async def newer(ask: Ask) -> Node:
    """Says how many events there are that are newer than what somebody reads."""
    return await newer_than_seen(ask, "/events")


async def listed(ask: Ask, topic: str | None = None) -> Mapping[str, Any]:
    """Ask for a page of events, the newest first. Raises Refused."""
    # What is no moment the ledger is asked for as well: it says what is wrong with it.
    text = ask.query.get("at", "")
    until, after = moment_of(text) or text, ask.query.get("after")
    found: Mapping[str, Any] = await ask.get(
        "ledger", "/events", **_wanted(ask, topic), until=until, after=after, newest_first=True, limit=MOST
    )
    return found


def reading(ask: Ask, path: str, found: Mapping[str, Any]) -> Node:
    """Show a page of events: kept fresh where it is the newest, else with a bar that counts what has come since."""
    if not is_held(ask):
        return live(address(f"/live/tail{path}", kept(ask)), tailed(ask, path, found))
    seen = ask.query.get("seen") or next((each["time"] for each in found["items"]), None)
    count = address(f"/live/newer{path}", {**kept(ask), "seen": seen})
    bar = live(count, _bar(ask, path, 0, more=False), name="newer")
    return [
        bar if seen else h.div(".fresh")[h.a(href=address(path, kept(ask)))["To the newest"]],
        _jumps(ask, path),
        rows(ask, found),
        older(ask, path, found),
    ]


def tailed(ask: Ask, path: str, found: Mapping[str, Any]) -> Node:
    """Show the newest events, with the way to hold them still and to those before them."""
    return [_hold(ask, path, found), rows(ask, found), older(ask, path, found)]


def rows(ask: Ask, found: Mapping[str, Any]) -> Node:
    """Show events in a table."""
    return table(
        ("When", "Event", "Key", "Where", "Data"),
        (_row(ask, each) for each in found["items"]),
        _nothing(found),
        "Events, the newest first",
    )


def older(ask: Ask, path: str, found: Mapping[str, Any]) -> Node:
    """Say how much is shown, and lead to what is older: no list just ends."""
    number, after = len(found["items"]), found["next"]
    if after is None:
        said = "This one is" if number == 1 else f"These {number:,} are"
        return h.p(".more")[f"{said} all there is, back to the oldest that is kept."] if number else None
    newest = next((each["time"] for each in found["items"]), None)
    seen = ask.query.get("seen") or newest
    to = address(path, {**kept(ask), "at": ask.query.get("at"), "after": after, "seen": seen})
    said = f"{number:,} of more." if number == MOST else f"{number:,} found among the {found['looked_at']:,} looked at."
    return h.p(".more")[said, " ", h.a(href=to, rel="next")["Look at older ones"]]


async def newer_than_seen(ask: Ask, path: str, topic: str | None = None) -> Node:
    """Say how many events there are that are newer than the first that was shown."""
    seen = moment_of(ask.query.get("seen", ""))
    since = _after(seen) if seen else None
    found = await ask.get("ledger", "/events", **_wanted(ask, topic), since=since, limit=COUNTED)
    return _bar(ask, path, len(found["items"]), more=bool(found["next"]))


def is_held(ask: Ask) -> bool:
    """Tell whether somebody reads older events, which nothing that comes may move."""
    return bool(ask.query.get("at") or ask.query.get("after"))


def kept(ask: Ask) -> dict[str, str | None]:
    """Return the filters, as an address says them."""
    return {name: ask.query.get(name) for name in FILTERS}


def moment_of(text: str) -> str | None:
    """Read a moment as a field or an address says it: without a zone it is UTC. None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return text if found.tzinfo else f"{text}Z"


def said(ask: Ask, topic: str | None = None) -> tuple[str, ...]:
    """Say the commands that list the same."""
    asked = {**kept(ask), "topic": topic, "newest_first": "true"}
    url = address(f"{ask.services.address('ledger')}/events", asked)
    return (curl("reader", url), "./sliceline events --follow")


def _wanted(ask: Ask, topic: str | None) -> dict[str, str | None]:
    """Say which events are wanted; by the service that a topic is of, as only of that there is an index."""
    service = topic.removesuffix(".events") if topic else None
    return {**kept(ask), "topic": topic, "source": f"/sliceline/{service}" if service in ask.services.names else None}


def _row(ask: Ask, event: Mapping[str, Any]) -> Node:
    to, said = at("/events/{event}", event=event["id"]), masked(ask, event)
    is_order = isinstance(event["data"], dict) and event["data"].get("order") == event["key"]
    order = at("/orders/{order}", order=event["key"]) if is_order else None
    return h.tr(id=f"event-{event['id']}", data_to=to)[
        h.td(".when")[moment(event["time"])],
        h.td(".what")[h.a(href=to)[event["type"].removeprefix("sliceline.")]],
        h.td(".key")[identity(said["key"], order, 12)],
        h.td(".where")[h.small[f"{event['topic']} {event['partition']}:{event['offset']}"]],
        h.td(".data")[h.code[brief(_beside(said["data"], said["key"]))]],
    ]


def _beside(data: Any, key: str) -> Any:
    """Leave out of data what the key says already."""
    return {name: value for name, value in data.items() if value != key} if isinstance(data, dict) else data


def _form(ask: Ask, refused: Refused | None = None) -> Node:
    errors = refused.errors if refused else {}
    return [filters(ask, "/events", errors, refused), masking_note(ask)]


def filters(ask: Ask, path: str, errors: Mapping[str, str] | None = None, refused: Refused | None = None) -> Node:
    """Make the form that says which events are wanted, and of when."""
    wrong = errors or {}
    query = ask.query
    pattern = forms.area(
        "pattern",
        "Pattern",
        query.get("pattern", ""),
        error=forms.within(refused, "pattern") if refused else None,
        help_text='As rules have it: {"data": {"total": {"amount": [{"numeric": [">=", 5000]}]}}}',
        rows="3",
        maxlength="4000",
    )
    return h.form(".filters", method="get", action=path, aria_label="Filters")[
        field(
            "type",
            "Type",
            query.get("type", ""),
            error=wrong.get("type"),
            placeholder="sliceline.orders.order-placed.v1",
        ),
        field("key", "Key", query.get("key", ""), error=wrong.get("key"), placeholder="an order's id, a SKU"),
        field("text", "Text in its data", query.get("text", ""), error=wrong.get("text"), maxlength="200"),
        _before(query.get("at", ""), wrong.get("until")),
        h.details(open=bool(query.get("pattern")))[h.summary["A pattern, as rules have it"], pattern],
        h.button(".main", type="submit")["Show"],
        h.a(href=path)["All, as they come"],
    ]


def _before(text: str, error: str | None) -> Node:
    """Make the field for a moment; what is none stands in it as it was said."""
    value, kind = (text, "text") if error else (_typed(text), "datetime-local")
    return field("at", "Before (UTC)", value, error=error, type=kind, step=None if error else "1")


def masking_note(ask: Ask) -> Node:
    """Say to those who only read that what is personal is not shown as it is, and what this does not hold for."""
    if ask.may(PLAIN):
        return None
    said = f"What is personal is shown here as other text of the same shape, but to those with {PLAIN}."
    return h.p(".soft")[f"{said} Filters look at what it really is, and so does who asks the services themselves."]


def _hold(ask: Ask, path: str, found: Mapping[str, Any]) -> Node:
    newest = next((each["time"] for each in found["items"]), None)
    if newest is None:
        return None
    held = address(path, {**kept(ask), "at": _after(newest), "seen": newest})
    return h.p(".more")["Shown as they come. ", h.a(href=held)["Hold still to read"]]


def _bar(ask: Ask, path: str, number: int, *, more: bool) -> Node:
    to = address(path, kept(ask))
    if not number:
        return h.div(".fresh", role="status")[h.a(href=to)["To the newest"], h.span(".soft")["Nothing new since."]]
    said = f"{number} and more" if more else f"{number:,}"
    return h.div(".fresh.new", role="status")[h.a(".act.main", href=to)[f"{said} new"], h.span["since this was shown"]]


def _jumps(ask: Ask, path: str) -> Node:
    begun = moment_of(ask.query.get("at", ""))
    if begun is None:
        return None
    here = datetime.fromisoformat(begun)
    ways = ((text, _shifted(here, timedelta(minutes=minutes))) for text, minutes in JUMPS.items())
    links = (h.a(href=address(path, {**kept(ask), "at": to, "seen": ask.query.get("seen")}))[text] for text, to in ways)
    return h.p(".jumps")[h.span["Those before ", h.time(datetime=begun)[begun[:19].replace("T", " ")], "."], *links]


def _nothing(found: Mapping[str, Any]) -> Node:
    if found["next"]:
        return f"None of the {found['looked_at']:,} events that were looked at fits. Older ones may."
    return ["No event fits. Events come from orders: ", h.code["./sliceline order"], " places one."]


def _after(moment: str) -> str:
    """Return the moment after one, as `until` takes it."""
    return _shifted(datetime.fromisoformat(moment), timedelta(microseconds=1))


def _shifted(moment: datetime, by: timedelta) -> str:
    """Return a moment that is later or earlier by so much; where the calendar ends before, the moment itself."""
    try:
        return (moment + by).isoformat()
    except OverflowError:
        return moment.isoformat()


def _typed(text: str) -> str:
    """Write a moment as a field for it takes it: in UTC, to the second."""
    found = moment_of(text)
    return found[:19] if found else ""
