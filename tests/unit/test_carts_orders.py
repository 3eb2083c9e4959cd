"""What an answer of orders means to a checkout."""

import httpx
import pytest

from services.carts.decisions import Objection
from services.carts.orders import Outcome, Placed, Refused, Unknown, _outcome

PROBLEM = {"title": "Invalid request", "detail": "One field is not acceptable."}
ERROR = {"field": "lines.0.item", "message": "is not on the menu"}


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (httpx.Response(202, json={"id": "o", "status": "placed"}), Placed("o")),
        (
            httpx.Response(422, json={**PROBLEM, "errors": [ERROR]}),
            Refused("lines.0.item is not on the menu", (Objection("lines.0.item", "is not on the menu"),)),
        ),
        (
            httpx.Response(409, json={"detail": "Gone.", "errors": [{"field": "a", "message": "Gone."}]}),
            Refused("Gone.", (Objection("a", "Gone."),)),
        ),
        (httpx.Response(422, json=PROBLEM), Refused("One field is not acceptable.")),
        (httpx.Response(413, json={"title": "Too\nlarge"}), Refused("Too large")),
        (httpx.Response(400, text="no"), Refused("Orders refused with the status 400.")),
    ],
)
def test_an_answer_says_whether_there_is_an_order(answer: httpx.Response, meaning: Outcome) -> None:
    assert _outcome(answer) == meaning


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(202, text="<html>"),
        httpx.Response(202, json={"order": "o"}),
        httpx.Response(202, json={"id": 7}),
        httpx.Response(200, json={"id": "o"}),
        httpx.Response(404, json={"title": "Not found"}),
        httpx.Response(429, json={"title": "Too many requests"}),
        httpx.Response(500, json={"title": "Internal error"}),
        httpx.Response(503, json={"title": "Temporarily unavailable"}),
    ],
)
def test_an_answer_that_says_nothing_usable_leaves_it_open(answer: httpx.Response) -> None:
    assert isinstance(_outcome(answer), Unknown)
