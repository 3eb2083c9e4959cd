"""Jobs keep their places while somebody looks, and are started anew so many at a time."""

import re
from collections.abc import Iterable
from typing import Any

import httpx
from htpy import fragment

from services.console.asking import Ask, Services
from services.console.pages import jobs
from services.console.session import ANYBODY
from services.console.shell import Page

ADDRESSES = {"orders": "http://orders", "payments": "http://payments"}


def job(number: int, *, due: int = 0, is_parked: bool = False, key: str = "") -> dict[str, Any]:
    at = f"2026-11-29T12:00:{due:02}Z"
    parked = at if is_parked else None
    return {
        "id": number,
        "kind": "call",
        "key": key or f"k{number}",
        "due": at,
        "parked_at": parked,
        "in_hand": False,
        "attempts": 1,
        "error": None,
    }


class Shop:
    """Answers as services with these jobs do."""

    def __init__(self, found: Iterable[dict[str, Any]]) -> None:
        self.jobs = list(found)
        self.started: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.started.append(request.url.path)
            number = int(request.url.path.split("/")[2])
            self.jobs = [each for each in self.jobs if each["id"] != number]
            return httpx.Response(202, json={"id": number})
        return httpx.Response(200, json=self._backlog() if request.url.path == "/backlog" else self._page(request))

    def _page(self, request: httpx.Request) -> dict[str, Any]:
        first, limit = int(request.url.params.get("after", 0)), int(request.url.params["limit"])
        following = str(first + limit) if first + limit < len(self.jobs) else None
        return {"items": self.jobs[first : first + limit], "next": following}

    def _backlog(self) -> dict[str, Any]:
        kind = {"kind": "call", "due": 0, "due_since": None, "in_hand": 0, "failing": 0, "rests_until": None}
        more = {"given_up": len(self.jobs), "given_up_error": "no", "failing_error": None}
        return {"jobs": [{**kind, **more}]}


async def test_a_job_keeps_its_row_and_its_place_whatever_becomes_of_it() -> None:
    shop = Shop([job(1, due=30), job(2, due=10), job(10, due=20, is_parked=True)])
    async with httpx.AsyncClient(transport=httpx.MockTransport(shop.answer)) as http:
        ask = Ask(ANYBODY, Services(http, ADDRESSES))
        before = re.findall(r'id="(job-[^"]+)"', str(fragment[await jobs.listed(ask)]))
        shop.jobs = [job(1, due=30, is_parked=True), job(2, due=50), job(10, due=5)]
        after = re.findall(r'id="(job-[^"]+)"', str(fragment[await jobs.listed(ask)]))
    assert before == after == [f"job-{service}-{number}" for service in ADDRESSES for number in (1, 2, 10)]


async def test_who_does_not_answer_is_told_in_the_one_notice_so_that_no_row_moves() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, json={}) if request.url.host == "payments" else shop.answer(request)

    shop = Shop([job(1)])
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        shown = str(fragment[await jobs.listed(Ask(ANYBODY, Services(http, ADDRESSES)))])
    assert shown.count('class="notice') == 1
    assert "Not among this: payments." in shown
    assert 'data-silent="payments"' in shown
    assert shown.count('data-of="orders"') == 2


async def test_a_service_that_there_is_none_of_is_any() -> None:
    shop = Shop([job(1)])
    async with httpx.AsyncClient(transport=httpx.MockTransport(shop.answer)) as http:
        page = await jobs.jobs(Ask(ANYBODY, Services(http, ADDRESSES), query={"service": "nope"}))
    assert isinstance(page, Page)
    assert "job-payments-1" in str(fragment[page.body])


async def test_many_jobs_are_started_anew_so_many_at_a_time_and_the_page_tells_how_many_are_left() -> None:
    shop = Shop(job(number, is_parked=True) for number in range(1, 232))
    async with httpx.AsyncClient(transport=httpx.MockTransport(shop.answer)) as http:
        ask = Ask(ANYBODY, Services(http, ADDRESSES), {"service": "orders"}, form={"kind": "call"})
        page = await jobs.again(ask)
        assert isinstance(page, Page)
        assert page.status == 200
        assert len(shop.started) == 200
        assert "200 jobs started anew. 31 are left" in str(fragment[page.body])
        assert await jobs.again(ask) == "/jobs?service=orders&kind=call"
    assert len(set(shop.started)) == 231


async def test_a_key_leads_to_the_search_where_it_is_an_id() -> None:
    order = "01a22727-0c28-7311-b298-559b97fdbb8e"
    shop = Shop([job(1, key=order), job(2, key="mcguffin low"), job(3, key="partition")])
    async with httpx.AsyncClient(transport=httpx.MockTransport(shop.answer)) as http:
        shown = str(fragment[await jobs.listed(Ask(ANYBODY, Services(http, {"orders": "http://orders"})))])
    assert re.findall(r'href="/search([^"]+)"', shown) == [f"?q={order}"]
    assert "mcguffin low" in shown
