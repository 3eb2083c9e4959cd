"""What the provider's answers mean."""

from datetime import timedelta

import httpx
import pytest

from services.payments.provider import (
    Absent,
    Busy,
    Charged,
    Declined,
    Outcome,
    Paid,
    Provider,
    Refused,
    Unknown,
    Voided,
)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (httpx.Response(201, json={"status": "charged"}), Charged()),
        (httpx.Response(200, json={"status": "refunded"}), Voided(refunded=True)),
        (httpx.Response(200, json=["charged"]), Unknown("answered with the status ''")),
        (httpx.Response(200, content=b"\xff<html>"), Unknown("answered with the status ''")),
        (httpx.Response(402, json={"code": "declined", "reason": "lost\x00card"}), Declined("lost card")),
        (httpx.Response(201, json={"status": "paid"}), Paid()),
        (httpx.Response(404, json={"code": "unknown"}), Absent()),
        (httpx.Response(404, json={"code": "not-charged", "detail": "no"}), Refused("404 not-charged no")),
        (httpx.Response(409, json={"code": "not-covered", "detail": "no"}), Refused("409 not-covered no")),
        (httpx.Response(404), Unknown("answered 404")),
        (httpx.Response(409, json={"code": "voided"}), Voided(refunded=False)),
        (httpx.Response(422, json={"code": "invalid", "detail": "no"}), Refused("422 invalid no")),
        (httpx.Response(401), Unknown("answered 401")),
        (httpx.Response(500, json={"code": "failing", "reason": None}), Unknown("answered 500 failing")),
        (httpx.Response(503, content=b"<html>"), Unknown("answered 503")),
        (httpx.Response(429, headers={"Retry-After": "3"}), Busy(timedelta(seconds=3))),
        (httpx.Response(429, headers={"Retry-After": "soon"}), Busy(timedelta(seconds=1))),
        (httpx.Response(429, headers={"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}), Busy(timedelta())),
        (httpx.Response(429, headers={"Retry-After": "9" * 30}), Busy(timedelta(seconds=1))),
        (
            httpx.Response(
                429, headers={"Date": "Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After": "Sun, 06 Nov 1994 08:50:07 GMT"}
            ),
            Busy(timedelta(seconds=30)),  # by the provider's clock, which both dates come from
        ),
        (
            httpx.Response(429, headers={"Date": "soon", "Retry-After": "Sun, 06 Nov 1994 08:50:07 GMT"}),
            Busy(timedelta()),
        ),
    ],
)
async def test_whatever_the_provider_answers_has_one_meaning(answer: httpx.Response, outcome: Outcome) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as http:
        assert await Provider(http, "http://provider/").look_up("o1") == outcome
