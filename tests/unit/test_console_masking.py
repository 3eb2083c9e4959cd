"""What is personal reads otherwise to those who only look, wherever an event, a step or a letter tells of it."""

import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from htpy import Node, fragment

from services.console.asking import Ask, Services
from services.console.masked import masked
from services.console.pages import (
    dead_letters,
    deliveries,
    discarded,
    events,
    instants,
    jobs,
    journey,
    letter,
    operations,
    orders,
    redrives,
    searching,
)
from services.console.session import Session
from services.console.shell import Page

NAMES = ("Ada", "Lovelace", "Ünal", "12 Byron Row", "\\u00dcnal")
DATA = {"customer": "Ada", "contact": {"name": "Lovelace"}, "phone": "Ünal", "address": "12 Byron Row", "points": 30}
RAW = b'{"customer": "Ada", "phone": "\\u00dcnal", "contact": {"name": "Lovelace"}, "points": 30}'


def encoded(value: bytes) -> str:
    return b64encode(value).decode()


STEP: dict[str, Any] = {
    "event": "e1",
    "source": "/sliceline/loyalty",
    "type": "sliceline.loyalty.points-earned.v1",
    "key": "Ada",
    "causationid": None,
    "time": "2026-11-29T12:00:00Z",
    "archived_at": "2026-11-29T12:00:00Z",
    "in_outbox_ms": 1.0,
    "sentence": "Ada at 12 Byron Row has 30 points more.",
    "data": DATA,
    "finished": [],
    "listeners": [
        {
            "service": "alerts",
            "state": "parked",
            "in_topic_ms": 1.0,
            "in_handler_ms": 1.0,
            "attempts": 2,
            "error": "ValueError: no Lovelace",
            "errors": [{"error": "KeyError: Ada", "together": 1}],
            "jobs": [
                {
                    "kind": "mail",
                    "service": "alerts",
                    "error": "nobody is Ada",
                    "attempts": 1,
                    "due": "2026-11-29T12:00:00Z",
                    "parked_at": None,
                }
            ],
            "retried": [],
        }
    ],
}
EVENT: dict[str, Any] = {
    "id": "e1",
    "source": STEP["source"],
    "type": STEP["type"],
    "topic": "loyalty.events",
    "partition": 0,
    "offset": 7,
    "sequence": 7,
    "occurrenceid": "o1",
    "correlationid": "c1",
    "key": "Ada",
    "data": DATA,
    "raw": {"headers": [{"name": "ce_subject", "value_base64": encoded(b"Ada")}], "value_base64": encoded(RAW)},
}
LETTER: dict[str, Any] = {
    "id": 7,
    "error": "ValueError: Lovelace has no points",
    "key": "Ada",
    "type": STEP["type"],
    "event": "e1",
    "correlation": None,
    "trace": None,
    "sequence": 7,
    "contract": {"known": True},
    "topic": "loyalty.events",
    "partition": 0,
    "offset": 7,
    "parked_at": "2026-11-29T12:00:00Z",
    "failed_at": "2026-11-29T12:00:00Z",
    "attempts": 1,
    "reads_now": "It can be read.",
    "group": None,
    "payload": DATA,
    "failing": [{"path": "customer", "message": "Ada is nobody"}],
    "headers": [{"name": "ce_subject", "value": "Ada"}],
    "frames": [],
    "before": [],
    "behind": [],
    "held": 0,
    "redrives": [],
    "acts": [],
    "edits": [
        {"edited_at": "2026-11-29T12:00:00Z", "edited_by": "Olga", "reason": "Ada asked", "diff": "- Ada\n+ Lovelace"}
    ],
}


# What lists tell: nothing of what an event says but what went wrong with it.
WRONG = "ValueError: no 'Lovelace' in \"12 Byron Row\", nor ada@example.com"
LISTED: dict[str, Any] = {
    "id": 7,
    "consumer": "loyalty",
    "group": "0123456789ab",
    "key": "Ada",
    "kind": "mail",
    "type": STEP["type"],
    "error": WRONG,
    "frame": "services/loyalty/decisions.py earn",
    "count": 30,
    "keys": 1,
    "held": 0,
    "attempts": 30,
    "parked_at": STEP["time"],
    "last_at": STEP["time"],
    "due": STEP["time"],
    "in_hand": False,
    "discarded_at": STEP["time"],
    "discarded_by": "Olga",
    "reason": "'Ada' asked",
}
BACKLOG: dict[str, Any] = {
    "parked": {"events": 1, "keys": 1, "since": STEP["time"]},
    "outbox": {"refused": 1, "refused_since": STEP["time"], "refused_error": WRONG},
    "jobs": [
        {
            "kind": "mail",
            "due": 0,
            "due_since": None,
            "in_hand": 0,
            "failing": 1,
            "rests_until": None,
            "given_up": 30,
            "given_up_error": WRONG,
            "failing_error": WRONG,
        }
    ],
}
ORDER: dict[str, Any] = {
    "id": "o7",
    "status": "rejected",
    "since": STEP["time"],
    "reason": "Ada lives at 12 Byron Row.",
    "customer": {"id": "Ada", "name": "Lovelace", "email": "ada@example.com"},
    "fulfilment": "delivery",
    "address": "12 Byron Row",
    "lines": [{"item": "points-earned", "quantity": 30}],
    "total": {"amount": 3000, "currency": "GBP"},
    "placed_at": STEP["time"],
    "expected": None,
}
JOB: dict[str, Any] = {**LISTED, "service": "notifications"}
JOURNEY: dict[str, Any] = {
    "order": "o7",
    "is_cut": False,
    "took_ms": 1.0,
    "unfinished": [],
    "unanswered": [],
    "jobs": [JOB],
    "steps": [{**STEP, "correlationid": "c1", "after_ms": None}],
}
WHY: dict[str, Any] = {
    "chain": [],
    "happened": None,
    "broken": {
        "kind": "parked",
        "text": f"points-earned is parked, and somebody has paused key Ada: {WRONG}",
        "since": None,
        "command": "./sliceline dead-letters redrive loyalty --key Ada",
    },
}
PLAN: dict[str, Any] = {
    "id": 7,
    "letter": None,
    "key": "Ada",
    "group": None,
    "dry_run": False,
    "state": "done",
    "total": 30,
    "steps": 1,
    "rate": None,
    "on_failure": "stop",
    "began_at": STEP["time"],
    "began_by": "Olga of points-earned",
    "ended_at": STEP["time"],
    "outcomes": {"failed": 30},
    "changes": None,
}
OUTCOME: dict[str, Any] = {**LISTED, "letter": 7, "outcome": "failed", "at": STEP["time"]}
DELIVERY: dict[str, Any] = {
    "event": "e1",
    "type": STEP["type"],
    "key": "Ada",
    "status": "parked",
    "attempts": 30,
    "due": None,
    "changed_at": STEP["time"],
    "first_attempt_at": STEP["time"],
    "tries": [{"at": STEP["time"], "took_ms": 7, "status": 422, "said": '{"customer": "Ada", "why": "no Lovelace"}'}],
}
CHANGES: dict[str, Any] = {
    "is_cut": False,
    "items": [
        {
            "at": STEP["time"],
            "service": "orders",
            "text": "POST /customers/{customer}/forget",
            "path": "/customers/Ada/forget",
            "event": "e1",
            "by": "Sam",
            "outcome": "done",
        }
    ],
}
THROUGHPUT: dict[str, Any] = {
    "since": STEP["time"],
    "step_seconds": 15,
    "statuses": [{"status": each, "orders": [30]} for each in ("placed", "completed", "rejected", "cancelled")],
}
DIFFERENCE: dict[str, Any] = {"type": STEP["type"], "topic": "orders.events", "partition": 7, "missing": 1, "twice": 0}
BALANCE: dict[str, Any] = {
    "at": STEP["time"],
    "silent": [],
    "not_listed": [],
    "consumers": [
        {
            "consumer": "loyalty",
            "balances": True,
            "entries": [],
            "differences": [],
            "accepted": [{**DIFFERENCE, "by": "Olga", "reason": "'Lovelace' asked", "accepted_at": STEP["time"]}],
            "open": [],
        }
    ],
}
FUNNEL: dict[str, Any] = {
    "statuses": [],
    "came": 30,
    "stuck_orders": 1,
    "stuck": [{"order": "o7", "status": "placed", "since": STEP["time"], "broken": WHY["broken"]}],
}
WAITING: dict[str, Any] = {
    "service": "loyalty",
    "needs": ["key Ada paused since 2026-11-29 12:00:00Z by Olga, 30 events behind it: 'Lovelace' asked"],
    "outbox": {"waiting": 0, "refused": 0},
    "parked": {"events": 0, "keys": 0},
    "jobs": [],
    "pauses": [],
}
SEALED = f"sealed:1:orders.{'A' * 22}:{'B' * 38};"
STATE: dict[str, Any] = {
    "at": STEP["time"],
    "services": [
        {
            "service": "orders",
            "rebuilt": True,
            "since": None,
            "unheard": [],
            "unfit": [{"id": "e1", "type": STEP["type"], "why": "Lovelace and 'Ada' are not known"}],
            "lacks": None,
            "state": {**DATA, "says": "points-earned by Lovelace of 12 Byron Row", "told": SEALED},
        },
        {"service": "carts", "rebuilt": False},
    ],
}
ANSWERS = {
    "/orders/o7": ORDER,
    "/orders/o7/journey": JOURNEY,
    "/why": WHY,
    "/state": STATE,
    "/backlog": BACKLOG,
    "/orders/count": {"count": 30, "exact": True},
    "/redrives": {"items": [PLAN], "next": None},
    "/redrives/7": PLAN,
    "/redrives/7/letters": {"items": [OUTCOME], "next": None},
    "/endpoints/w/deliveries/e1": DELIVERY,
    "/balance": BALANCE,
    "/funnel": FUNNEL,
    "/throughput": THROUGHPUT,
    "/changes": CHANGES,
    "/backlogs": {"services": [WAITING], "silent": []},
    "/alerts": {"items": [], "next": None},
    "/events": {"items": [{**STEP, "id": "e1", "sequence": 7, "data": None}], "next": None},
}


def answer(request: httpx.Request) -> httpx.Response:
    path = request.url.path
    if path in ANSWERS:
        return httpx.Response(200, json=ANSWERS[path])
    if path.startswith(("/dead-letters", "/jobs", "/orders")) and path != "/dead-letters/7":
        return httpx.Response(200, json={"items": [ORDER if "orders" in path else LISTED], "next": None})
    return httpx.Response(200, json=STEP if path.endswith("/step") else EVENT if "/events/" in path else LETTER)


async def event_page(ask: Ask) -> Node:
    return (await events.show(ask)).body


async def letter_page(ask: Ask) -> Node:
    return (await letter.letter_page(ask)).body


async def seen_by(show: Callable[..., Any], *, may_act: bool) -> str:
    """Return what a page shows to somebody who reads, or acts as well."""
    scopes = {"ledger.read", "operations.read", "orders.read"} | ({"operations.act"} if may_act else set())
    somebody = Session("rita", frozenset(scopes), "token", float("inf"))
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        services = Services(
            http, {name: f"http://{name}" for name in ("ledger", "loyalty", "orders", "alerts", "webhooks")}
        )
        path = {"event": "e1", "service": "loyalty", "letter": "7", "order": "o7", "plan": "7", "endpoint": "w"}
        asked = {"why": "points", "at": STEP["time"], "q": "7" * 32}
        return str(fragment[await show(Ask(somebody, services, path, asked))])


@pytest.mark.parametrize("show", [event_page, letter_page, letter.facts])
@pytest.mark.parametrize("may_act", [False, True])
async def test_what_is_personal_is_shown_as_it_is_to_those_who_mend_alone(
    show: Callable[..., Any], may_act: bool
) -> None:
    shown = await seen_by(show, may_act=may_act)
    found = {name for name in NAMES if name in shown}
    assert {"Ada", "Lovelace"} <= found if may_act else not found
    assert "30" in shown
    assert "points-earned" in shown
    assert ("key=Ada" in shown or "q=Ada" in shown) == may_act
    assert "key=" not in shown or may_act


@pytest.mark.parametrize(
    "page",
    [
        dead_letters.overview,
        dead_letters.of_service,
        discarded.discarded,
        jobs.jobs,
        orders.show,
        journey.show,
        instants.show,
        operations.show,
        redrives.redrives,
        redrives.redrive,
        deliveries.delivery,
        searching.show,
    ],
)
@pytest.mark.parametrize("may_act", [False, True])
async def test_lists_and_states_show_what_is_personal_to_those_who_mend_alone(
    page: Callable[[Ask], Any], may_act: bool
) -> None:
    async def show(ask: Ask) -> Node:
        told: Page = await page(ask)
        return told.body

    shown = await seen_by(show, may_act=may_act)
    found = {name for name in (*NAMES, "ada@example.com") if name in shown}
    assert "Lovelace" in found or "Ada" in found if may_act else not found
    assert "points-earned" in shown or "ValueError" in shown
    assert ("other text of the same shape" in shown) != may_act
    assert "sealed:" not in shown


def test_what_comes_without_its_document_names_nobody_by_its_key_or_by_what_it_quotes() -> None:
    ask = Ask(Session("rita", frozenset({"ledger.read"}), "token", float("inf")), Services(httpx.AsyncClient(), {}))
    order = "01900000-0000-7000-8000-000000000000"
    kept = {"key": order, "error": f"It doesn't fit: the orders' {order} at `$.lines` is 7", "type": "a.'b'.v1"}
    assert masked(ask, kept) == {**kept, "is_key_masked": False}
    parked = "2 events of 1 key parked, the first since 2026-11-29; the last error: ValueError: a key is missing: no"
    assert masked(ask, {"text": parked})["text"] == parked
    bytes_ = masked(ask, {"error": "no b'Ada', nor 'Byron\nRow'"})["error"]
    assert re.fullmatch(r"no b'\w{3}', nor '(?!Byron)\w{5}\n(?!Row)\w{3}'", bytes_)
    told = {"key": "Ada", "error": "KeyError: 'Ada'", "errors": [{"error": "E: \"O'Hara\" and a@b.org said 'cut o"}]}
    shown = masked(ask, told)
    assert (shown["key"], shown["is_key_masked"]) == (shown["error"].removeprefix("KeyError: ").strip("'"), True)
    [said] = (each["error"] for each in shown["errors"])
    assert [each for each in ("Ada", "O'Hara", "a@b.org", "cut o") if each in f"{shown['error']} {said}"] == []
    assert re.fullmatch(r"E: \"\w'\w{4}\" and \w@\w\.\w{3} said '\w{3} \w", said)


def test_a_name_of_two_letters_is_masked_in_a_sentence() -> None:
    ask = Ask(Session("rita", frozenset({"ledger.read"}), "token", float("inf")), Services(httpx.AsyncClient(), {}))
    for name in ("李 明", "김-수"):
        shown = masked(ask, {"data": {"name": name}, "sentence": f"It is for {name}, by a b."})
        assert name not in str(shown)
        assert re.fullmatch(r"It is for .{2,3}, by a b\.", shown["sentence"])


def test_what_is_not_about_a_person_stays_and_the_same_is_masked_as_the_same() -> None:
    ask = Ask(Session("rita", frozenset({"ledger.read"}), "token", float("inf")), Services(httpx.AsyncClient(), {}))
    order = {"key": "o7", "data": {"order": "o7", "customer": "Ada"}, "sentence": "Order o7 of Ada was placed."}
    shown = masked(ask, order)
    assert (shown["key"], shown["is_key_masked"]) == ("o7", False)
    assert shown["sentence"] == f"Order o7 of {shown['data']['customer']} was placed."
    assert masked(ask, {"key": "Ada", "payload": '{"customer": "Ada", '})["payload"] != '{"customer": "Ada", '
    assert masked(ask, order) == shown
