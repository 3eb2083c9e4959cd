"""What is personal reads otherwise to those who only look, wherever an event, a step or a letter tells of it."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from htpy import Node, fragment

from services.console.asking import Ask, Services
from services.console.masked import masked
from services.console.pages import events, letter
from services.console.session import Session

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
            "jobs": [{"kind": "mail", "error": "nobody is Ada", "attempts": 1}],
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


def answer(request: httpx.Request) -> httpx.Response:
    path = request.url.path
    return httpx.Response(200, json=STEP if path.endswith("/step") else EVENT if "/events/" in path else LETTER)


async def event_page(ask: Ask) -> Node:
    return (await events.show(ask)).body


async def letter_page(ask: Ask) -> Node:
    return (await letter.letter_page(ask)).body


@pytest.mark.parametrize("show", [event_page, letter_page, letter.facts])
@pytest.mark.parametrize("may_act", [False, True])
async def test_what_is_personal_is_shown_as_it_is_to_those_who_mend_alone(
    show: Callable[..., Any], may_act: bool
) -> None:
    scopes = {"ledger.read", "operations.read"} | ({"operations.act"} if may_act else set())
    somebody = Session("rita", frozenset(scopes), "token", float("inf"))
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        services = Services(http, {"ledger": "http://ledger", "loyalty": "http://loyalty"})
        path = {"event": "e1", "service": "loyalty", "letter": "7"}
        shown = str(fragment[await show(Ask(somebody, services, path))])
    found = {name for name in NAMES if name in shown}
    assert {"Ada", "Lovelace"} <= found if may_act else not found
    assert "30" in shown
    assert "points-earned" in shown
    assert ("key=Ada" in shown or "q=Ada" in shown) == may_act
    assert "key=" not in shown or may_act


def test_what_is_not_about_a_person_stays_and_the_same_is_masked_as_the_same() -> None:
    ask = Ask(Session("rita", frozenset({"ledger.read"}), "token", float("inf")), Services(httpx.AsyncClient(), {}))
    order = {"key": "o7", "data": {"order": "o7", "customer": "Ada"}, "sentence": "Order o7 of Ada was placed."}
    shown = masked(ask, order)
    assert (shown["key"], shown["is_key_masked"]) == ("o7", False)
    assert shown["sentence"] == f"Order o7 of {shown['data']['customer']} was placed."
    assert masked(ask, {"key": "Ada", "payload": '{"customer": "Ada", '})["payload"] != '{"customer": "Ada", '
    assert masked(ask, order) == shown
