"""Reviews on a real database, with the real worker and the real lexicon."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from backbone.context import Context
from backbone.ids import new_id
from backbone.jobs.worker import Worker
from backbone.settings import Settings
from services.reviews import sentiment
from services.reviews.decisions import ANALYSE
from services.reviews.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.things import running
from tests.issuing import by
from tests.waiting import eventually

ADA = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
GOOD, BAD = "Great pizza, thank you!", "The pizza was cold and the driver was rude."
Document = dict[str, Any]


@dataclass
class Desk:
    """Reviews, and whoever analyses them."""

    service: Fed

    async def say(self, order: str = "", key: str = "", **said: Any) -> Any:
        """Post a review, of a new order unless one is named."""
        body = {"order": order or new_id(), "customer": ADA, **said}
        return await self.service.client.post("/reviews", json=body, headers={"Idempotency-Key": key} if key else {})

    async def said(self, **said: Any) -> str:
        answer = await self.say(**said)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def get(self, path: str) -> Document:
        answer = await self.service.client.get(path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def analysed(self, review: str) -> Document:
        async def found() -> Document | None:
            document = await self.get(f"/reviews/{review}")
            return document if document["label"] else None

        return await eventually(found, 20, what=f"review {review} analysed")

    async def bad_case(self) -> str:
        review = await self.said(text=BAD)
        async with self.working():
            await self.analysed(review)
        return review

    async def resolve(self, case: str, key: str = "", actor: str = "grace", **body: Any) -> Any:
        headers = by(actor) | ({"Idempotency-Key": key} if key else {})
        sent = {"note": "Called her.", **body}
        return await self.service.client.post(f"/cases/{case}/resolve", json=sent, headers=headers)

    async def told(self, review: str) -> list[str]:
        return [event_type.split(".")[2] for event_type, _ in await self.service.published(review)]

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        context = Context(Settings(database_url="postgresql://unused"), self.service.database)
        async with running(Worker(ANALYSE, SERVICE.jobs[ANALYSE], context)):
            yield


@pytest.fixture(scope="module")
def one_database(new_database: NewDatabase) -> NewDatabase:
    return cache(new_database)


@pytest.fixture
async def desk(one_database: NewDatabase) -> AsyncIterator[Desk]:
    async with fed(SERVICE, one_database) as service:
        yield Desk(service)


@pytest.fixture
async def new_desk(new_database: NewDatabase) -> AsyncIterator[Desk]:
    """One at which nobody has said anything yet."""
    async with fed(SERVICE, new_database) as service:
        yield Desk(service)


async def test_a_review_is_received_at_once_and_its_event_is_the_record(desk: Desk) -> None:
    order = new_id()
    answer = await desk.say(order, stars=2, text="Cold.\nLate.")
    received = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/reviews/{received['id']}"
    assert (received["order"], received["status"]) == (order, "received")
    said = {"review": received["id"], "order": order, "customer": ADA, "stars": 2, "text": "Cold.\nLate."}
    assert await desk.service.published(received["id"]) == [("sliceline.reviews.review-received.v1", said)]
    document = await desk.get(answer.headers["Location"])
    assert (document["text"], document["score"], document["label"]) == ("Cold.\nLate.", None, None)


@pytest.mark.parametrize(
    ("said", "label", "is_case"),
    [
        ({"text": GOOD}, "positive", False),
        ({"text": BAD}, "negative", True),
        ({"text": "It came at eight."}, "neutral", False),
        ({"stars": 5}, "positive", False),
        ({"stars": 1}, "negative", True),
        ({"stars": 1, "text": GOOD}, "negative", True),
        ({"stars": 3, "text": GOOD}, "positive", False),
    ],
)
async def test_a_review_is_analysed_once_it_is_received(desk: Desk, said: Document, label: str, is_case: bool) -> None:
    review = await desk.said(**said)
    async with desk.working():
        document = await desk.analysed(review)
    assert (document["label"], document["case"]) == (label, "open" if is_case else None)
    told = dict(await desk.service.published(review))
    analysed = told["sliceline.reviews.review-analysed.v1"]
    assert (analysed["score"], analysed["label"]) == (document["score"], label)
    assert await desk.told(review) == ["review-received", "review-analysed", *(["case-opened"] if is_case else [])]
    cases = await desk.service.client.get(f"/cases/{review}")
    assert cases.status_code == (200 if is_case else 404)


async def test_a_story_goes_from_what_was_said_to_how_the_case_was_resolved(desk: Desk) -> None:
    answer = await desk.say(text=BAD)
    review, story = answer.json()["id"], answer.headers["X-Correlation-Id"]
    async with desk.working():
        await desk.analysed(review)
    assert (await desk.resolve(review)).status_code == 200
    rows = await desk.service.database.fetch("SELECT correlationid FROM outbox WHERE aggregateid = $1", review)
    assert [str(row["correlationid"]) for row in rows] == [story] * 4


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"stars": None, "text": None}, "text"),
        ({"stars": 0}, "stars"),
        ({"stars": 6}, "stars"),
        ({"stars": "5"}, "stars"),
        ({"stars": 4.5}, "stars"),
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": "a\x00b"}, "text"),
        ({"text": "a" * 2001}, "text"),
        ({"stars": 5, "order": "\n"}, "order"),
        ({"stars": 5, "customer": {**ADA, "email": "ada"}}, "customer.email"),
        ({"stars": 5, "customer": None}, "customer"),
        ({"stars": 5, "starts": 5}, "starts"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_review_that_makes_no_sense_is_refused_by_its_field(desk: Desk, body: Document, field: str) -> None:
    answer = await desk.say(**{"order": (order := new_id()), **body})
    assert answer.status_code == 422
    assert field in [each["field"] for each in answer.json()["errors"]]
    assert await desk.service.database.fetch("SELECT id FROM reviews WHERE order_id = $1", order) == []


async def test_the_longest_text_is_taken_in_any_script(desk: Desk) -> None:
    review = await desk.said(text="😍" * 2000)
    async with desk.working():
        assert (await desk.analysed(review))["label"] == "positive"


async def test_a_customer_says_once_how_an_order_was(desk: Desk) -> None:
    order = new_id()
    answers = await asyncio.gather(*(desk.say(order, stars=stars) for stars in (1, 2, 3, 4, 5)))
    [received] = [answer.json() for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code == 409]
    assert len(refused) == 4
    assert {answer.json()["detail"] for answer in refused} == {f"ada has reviewed the order {order}: {received['id']}."}
    bobs = await desk.say(order, stars=1, customer={**ADA, "id": "bob"})
    assert bobs.status_code == 202
    assert await desk.told(received["id"]) == ["review-received"]
    listed = await desk.get(f"/orders/{order}/reviews")
    assert [each["id"] for each in listed["items"]] == [received["id"], bobs.json()["id"]]


async def test_the_same_review_under_one_key_gets_the_same_answer(desk: Desk) -> None:
    order, key = new_id(), new_id()
    first, again = [await desk.say(order, key, stars=5) for _ in range(2)]
    assert (first.status_code, first.text) == (again.status_code, again.text)
    assert await desk.told(first.json()["id"]) == ["review-received"]
    assert (await desk.say(order, key, stars=1)).status_code == 422


async def test_a_case_is_resolved_with_a_note_and_points(desk: Desk) -> None:
    case = await desk.bad_case()
    answer = await desk.resolve(case, points=20)
    document = answer.json()
    assert answer.status_code == 200
    assert (document["status"], document["note"], document["points"]) == ("resolved", "Called her.", 20)
    assert document["resolved_by"] == "grace"
    assert (document["text"], document["customer"]) == (BAD, ADA)
    assert await desk.get(f"/cases/{case}") == document
    told = dict(await desk.service.published(case))["sliceline.reviews.case-resolved.v1"]
    order = document["order"]
    assert told == {
        "case": case,
        "order": order,
        "customer_id": "ada",
        "note": "Called her.",
        "points": 20,
        "by": "grace",
    }


async def test_points_are_granted_only_if_somebody_wishes(desk: Desk) -> None:
    case = await desk.bad_case()
    assert (await desk.resolve(case)).json()["points"] == 0


async def test_a_case_is_resolved_once_by_however_many(desk: Desk) -> None:
    case = await desk.bad_case()
    answers = await asyncio.gather(*(desk.resolve(case, actor=f"clerk-{each}", points=each) for each in range(5)))
    [winner] = [answer.json()["resolved_by"] for answer in answers if answer.status_code == 200]
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert len(refused) == 4
    assert all(f"resolved by {winner} at" in each["detail"] for each in refused)
    assert (await desk.told(case)).count("case-resolved") == 1


async def test_resolving_again_under_the_same_key_gets_the_same_answer(desk: Desk) -> None:
    case, key = await desk.bad_case(), new_id()
    first, again = [await desk.resolve(case, key, points=5) for _ in range(2)]
    assert (first.status_code, first.text) == (again.status_code, again.text)
    assert (await desk.told(case)).count("case-resolved") == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"note": ""}, "note"),
        ({"note": "a" * 1001}, "note"),
        ({"points": -1}, "points"),
        ({"points": 10_001}, "points"),
        ({"points": None}, "points"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_resolution_that_makes_no_sense_resolves_nothing(desk: Desk, body: Document, field: str) -> None:
    case = await desk.bad_case()
    answer = await desk.resolve(case, **body)
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])
    assert (await desk.get(f"/cases/{case}"))["status"] == "open"


async def test_a_review_without_a_case_cannot_be_resolved(desk: Desk) -> None:
    good = await desk.said(text=GOOD)
    for case in (good, new_id()):
        assert (await desk.resolve(case)).status_code == 404
    assert await desk.told(good) == ["review-received"]


async def test_cases_are_listed_the_oldest_first_and_by_status(new_desk: Desk) -> None:
    reviews = [await new_desk.said(stars=stars) for stars in (1, 5, 2, 1)]
    async with new_desk.working():
        for review in reviews:
            await new_desk.analysed(review)
    cases = [reviews[0], *reviews[2:]]
    await new_desk.resolve(cases[1])

    async def listed(query: str) -> tuple[list[str], Any]:
        page = await new_desk.get(f"/cases?{query}")
        return [each["id"] for each in page["items"]], page["next"]

    assert await listed("") == (cases, None)
    assert await listed("status=open") == ([cases[0], cases[2]], None)
    assert await listed("status=resolved") == ([cases[1]], None)
    first, more = await listed("limit=2")
    assert (first, await listed(f"limit=2&after={more}")) == (cases[:2], (cases[2:], None))
    assert (await new_desk.service.client.get("/cases?status=lost")).status_code == 422


@pytest.fixture
def held_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Analyses wait, wherever they run, until this is set."""
    go, scores = threading.Event(), sentiment.scores

    def later(texts: Sequence[str]) -> list[float]:
        go.wait(20)
        return scores(texts)

    monkeypatch.setattr(sentiment, "scores", later)
    yield go
    go.set()


async def test_reviews_are_received_while_others_are_analysed(new_desk: Desk, held_back: threading.Event) -> None:
    async with new_desk.working():
        before = await new_desk.said(text=GOOD)

        async def is_begun() -> bool:
            return bool(await new_desk.service.database.fetch("SELECT id FROM jobs WHERE lease IS NOT NULL"))

        await eventually(is_begun, 10, what="the analysis has begun")
        after = await new_desk.said(text=BAD)
        assert not held_back.is_set()
        held_back.set()
        assert (await new_desk.analysed(before))["label"] == "positive"
        assert (await new_desk.analysed(after))["label"] == "negative"


async def test_an_analysis_that_is_cut_off_is_done_by_another_once(new_desk: Desk, held_back: threading.Event) -> None:
    """As after kill -9, or with a second replica: the lease runs out, and what the first one says then is not heard."""
    review = await new_desk.said(text=BAD)
    async with new_desk.working():

        async def is_begun() -> bool:
            return bool(await new_desk.service.database.fetch("SELECT id FROM jobs WHERE lease IS NOT NULL"))

        await eventually(is_begun, 10, what="the analysis has begun")
        await new_desk.service.database.fetch("UPDATE jobs SET due = now() - interval '1 second' RETURNING id")
        async with new_desk.working():
            held_back.set()
            await new_desk.analysed(review)
    assert await new_desk.told(review) == ["review-received", "review-analysed", "case-opened"]
