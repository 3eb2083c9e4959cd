"""A form that is sent twice does what it says once: each has a key of its own, which its service is given."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from htpy import fragment

from services.console.asking import Ask, Services
from services.console.pages import deliveries, letter_acts, redrives, webhooks
from services.console.session import ANYBODY
from services.console.shell import Page

ENDPOINT: dict[str, Any] = {
    "id": "e1",
    "url": "http://there",
    "status": "active",
    "reason": None,
    "failures": 0,
    "allowed_failures": 100,
    "ordered": False,
    "concurrency": 4,
    "rate": None,
    "pattern": None,
    "description": None,
    "pinged_at": None,
    "ping_result": None,
    "rests_until": None,
    "old_secret_until": None,
}
PLAN: dict[str, Any] = {
    "id": 5,
    "dry_run": True,
    "state": "done",
    "letter": None,
    "key": "k",
    "group": None,
    "total": 1,
    "steps": 1,
    "rate": None,
    "on_failure": "stop",
    "began_at": "2026-11-29T12:00:00Z",
    "ended_at": "2026-11-29T12:00:00Z",
    "began_by": "Olga",
    "changes": {},
    "outcomes": {"applied": 1, "failed": 0},
}
DELIVERY: dict[str, Any] = {
    "event": "v1",
    "type": "t",
    "status": "parked",
    "attempts": 1,
    "first_attempt_at": None,
    "tries": [],
}
FORM = re.compile(r'<form[^>]*method="post"[^>]*>.*?</form>', re.DOTALL)
ONCE = re.compile(r'<input type="hidden" name="once" value="([^"]+)">')


class Service:
    """Answers as the services do, and keeps the keys under which it was asked to change something."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.newest = 5

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method != "GET":
            self.keys.append(request.headers["Idempotency-Key"])
            return httpx.Response(200, json={"id": 6})
        if path == "/redrives":
            return httpx.Response(200, json={"items": [{**PLAN, "id": self.newest}], "next": None})
        if path.endswith(("/letters", "/deliveries")):
            return httpx.Response(200, json={"items": [], "next": None})
        return httpx.Response(200, json=PLAN if "redrives" in path else DELIVERY if "deliveries" in path else ENDPOINT)


def asking(http: httpx.AsyncClient, **form: str) -> Ask:
    services = Services(http, {"webhooks": "http://webhooks", "orders": "http://orders"})
    path = {"endpoint": "e1", "event": "v1", "service": "orders", "plan": "5"}
    return Ask(ANYBODY, services, path, form=form)


@pytest.mark.parametrize(
    ("act", "form"),
    [
        (webhooks.ping, {}),
        (webhooks.switch, {"status": "disabled"}),
        (webhooks.change, {"url": "http://there"}),
        (webhooks.again, {"what": "replay-missing", "since": "2026-11-29T12:00:00"}),
        (webhooks.delete, {"confirm-delete-it": "e1"}),
        (deliveries.redrive, {}),
        (deliveries.discard, {"confirm-give-it-up": "e1"}),
        (letter_acts.rehearse, {"key": "k"}),
        (redrives.begin, {"on_failure": "stop"}),
    ],
)
async def test_what_is_sent_twice_is_asked_for_under_the_same_key(
    act: Callable[[Ask], Awaitable[str | Page]], form: dict[str, str]
) -> None:
    service = Service()
    async with httpx.AsyncClient(transport=httpx.MockTransport(service.answer)) as http:
        for _ in range(2):
            assert isinstance(await act(asking(http, once="as-drawn", **form)), str)
    assert service.keys == ["as-drawn"] * 2


@pytest.mark.parametrize("show", [webhooks.endpoint, deliveries.delivery, redrives.redrive])
async def test_each_form_that_acts_has_a_key_of_its_own(show: Callable[[Ask], Awaitable[Page]]) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(Service().answer)) as http:
        page = await show(asking(http))
    forms = FORM.findall(str(fragment[page.body]))
    keys = [key for each in forms for key in ONCE.findall(each)]
    assert forms
    assert len(set(keys)) == len(forms)


async def test_a_dry_run_that_is_looked_at_again_is_the_same_until_a_redrive_has_begun() -> None:
    service = Service()
    async with httpx.AsyncClient(transport=httpx.MockTransport(service.answer)) as http:
        shown = [str(fragment[(await redrives.redrive(asking(http))).body]) for _ in range(2)]
        service.newest = 6
        after = str(fragment[(await redrives.redrive(asking(http))).body])
    assert shown[0] == shown[1]
    assert ONCE.findall(after) != ONCE.findall(shown[0])
