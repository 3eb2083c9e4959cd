"""What the provider's answers mean."""

import asyncio
from contextlib import suppress
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


async def test_an_answer_that_comes_twice_is_not_taken_for_another_orders() -> None:
    served = []

    async def answer_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while asked := await reader.readuntil(b"\r\n\r\n"):
                body = b'{"status": "charged"}' if b"/charges/paid " in asked else b'{"status": "voided"}'
                writer.write(2 * (b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(answer_twice, "127.0.0.1") as server, httpx.AsyncClient() as http:
        port = server.sockets[0].getsockname()[1]
        provider = Provider(http, f"http://127.0.0.1:{port}")
        assert await provider.look_up("paid") == Charged()
        assert await provider.look_up("given-up") == Voided(refunded=False)
    await asyncio.gather(*filter(None, served))
