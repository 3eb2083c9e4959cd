"""The payment provider and the mail sink as their own processes on free ports."""

import asyncio
import os
import signal
import smtplib
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import httpx
import pytest

from local.ports import free_port
from tests.waiting import eventually, wait_until

ROOT = Path(__file__).parents[2]
Json = dict[str, Any]


@contextmanager
def running(module: str, ready: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environment) as process:
        try:
            wait_until_answers(ready, process)
            yield process
        finally:
            process.terminate()
            process.wait(10)


def wait_until_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert process.poll() is None, f"it ended with {process.returncode}"
        with suppress(httpx.HTTPError):
            return httpx.get(url, trust_env=False).is_success
        return False

    wait_until(answers, 30, what=f"{url} answers", every=0.05)


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=20, trust_env=False)


@contextmanager
def a_provider(**environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    named = {"SLICELINE_PROVIDER_PORT": str(port), "SLICELINE_PROVIDER_RATE": "0"} | environment
    with running("sandbox.provider", f"{url}/health/ready", **named) as process:
        yield url, process


@pytest.fixture(scope="module")
def provider_url() -> Iterator[str]:
    with a_provider() as (url, _):
        yield url


@pytest.fixture
async def provider(provider_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(provider_url) as http:
        await http.delete("/ledger")
        yield http


def order(**changes: Any) -> Json:
    money = {"amount": 1200, "currency": "GBP"}
    return {"reference": f"order-{uuid.uuid4()}", "amount": money, "customer": "ada"} | changes


async def charge(http: httpx.AsyncClient, body: Json, key: str | None = None) -> httpx.Response:
    return await http.post("/charges", json=body, headers={"Idempotency-Key": key} if key else {})


async def kinds(http: httpx.AsyncClient, reference: str) -> list[str]:
    entries = (await http.get("/ledger", params={"reference": reference})).json()
    return [entry["kind"] for entry in entries]


async def status(http: httpx.AsyncClient, reference: str) -> str:
    return str((await http.get(f"/charges/{reference}")).json()["status"])


async def called(http: httpx.AsyncClient, times: int) -> None:
    """Return when the provider has let in that many calls, finished or not."""

    async def condition() -> bool:
        return bool((await http.get("/stats")).json()["calls"] >= times)

    await eventually(condition, 10)


async def test_a_charge_is_booked_and_can_be_looked_up(provider: httpx.AsyncClient) -> None:
    body = order()
    answer = await charge(provider, body, "k1")
    assert answer.status_code == 201
    assert answer.json() | body == answer.json()
    found = (await provider.get(f"/charges/{body['reference']}")).json()
    assert (found["status"], found["amount"], found["charges"]) == ("charged", body["amount"], 1)
    assert (await provider.get("/charges/nobody")).status_code == 404


async def test_the_same_key_ten_times_at_once_is_one_charge_and_one_answer(
    provider: httpx.AsyncClient,
) -> None:
    body, key = order(), str(uuid.uuid4())
    answers = await asyncio.gather(*(charge(provider, body, key) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert await kinds(provider, body["reference"]) == ["charge"]


async def test_a_key_with_another_body_is_refused(provider: httpx.AsyncClient) -> None:
    await charge(provider, order(), "k1")
    other = order()
    answer = await charge(provider, other, '"k1"')
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")
    assert await kinds(provider, other["reference"]) == []


async def test_another_key_under_one_reference_shows_as_a_second_charge(provider: httpx.AsyncClient) -> None:
    body = order()
    for key in ("a", "b", None):
        assert (await charge(provider, body, key)).status_code == 201
    assert await kinds(provider, body["reference"]) == ["charge"] * 3


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": {"amount": 0, "currency": "GBP"}}, "amount.amount"),
        ({"amount": {"amount": 1.5, "currency": "GBP"}}, "amount.amount"),
        ({"amount": {"amount": 1, "currency": "pounds"}}, "amount.currency"),
        ({"reference": "a/b"}, "reference"),
        ({"tip": 3}, "tip"),
    ],
)
async def test_bad_input_names_its_field(provider: httpx.AsyncClient, changes: Json, field: str) -> None:
    answer = await charge(provider, order(**changes))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await provider.get("/ledger")).json() == []


async def test_too_many_calls_are_told_when_to_come_back(provider: httpx.AsyncClient) -> None:
    await provider.put("/limits", json={"rate": 0.5, "burst": 2})
    answers = [await provider.get("/charges/x") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert answers[2].headers["retry-after"] == "2"
    assert answers[2].json()["code"] == "rate-limited"
    stats = (await provider.get("/stats")).json()
    assert (stats["calls"], stats["refused"]) == (3, 1)


async def test_who_waits_as_told_is_let_in(provider: httpx.AsyncClient) -> None:
    await provider.put("/limits", json={"rate": 20, "burst": 1})
    assert (await charge(provider, order())).status_code == 201

    async def let_in() -> bool:
        return (await charge(provider, order())).status_code == 201

    await eventually(let_in, 10)


async def test_a_void_that_overtakes_a_slow_charge_wins(provider: httpx.AsyncClient) -> None:
    body = order()
    await provider.put("/moods", json={"slow_seconds": 0.5})
    late = asyncio.create_task(charge(provider, body, "k1"))
    await called(provider, 1)
    void = await provider.post("/voids", json={"reference": body["reference"]})
    assert void.json()["status"] == "voided"
    assert ((await late).status_code, (await late).json()["code"]) == (409, "voided")
    assert await kinds(provider, body["reference"]) == ["void"]
    assert await status(provider, body["reference"]) == "voided"


async def test_voiding_what_was_charged_gives_it_back_once(provider: httpx.AsyncClient) -> None:
    body = order()
    await charge(provider, body, "k1")
    voids = [await provider.post("/voids", json={"reference": body["reference"]}) for _ in range(3)]
    assert {void.json()["status"] for void in voids} == {"refunded"}
    assert await kinds(provider, body["reference"]) == ["charge", "void", "refund"]
    assert (await charge(provider, body, "k1")).status_code == 409
    assert (await charge(provider, body, "k2")).status_code == 409


async def test_a_charge_cut_by_a_timeout_is_booked_and_found_again(provider: httpx.AsyncClient) -> None:
    body = order()
    await provider.put("/moods", json={"timeout_after_charging": True, "hang_seconds": 20})
    with pytest.raises(httpx.ReadTimeout):
        await provider.post("/charges", json=body, headers={"Idempotency-Key": "k1"}, timeout=0.2)
    assert await status(provider, body["reference"]) == "charged"
    assert (await charge(provider, body, "k1")).status_code == 200
    assert await kinds(provider, body["reference"]) == ["charge"]


async def test_a_held_answer_ends_as_a_gateway_timeout(provider: httpx.AsyncClient) -> None:
    await provider.put("/moods", json={"timeout_after_charging": True, "hang_seconds": 0.05})
    assert (await charge(provider, order())).status_code == 504


async def test_a_declined_charge_stays_declined_for_its_key(provider: httpx.AsyncClient) -> None:
    body = order(customer="broke")
    await provider.put("/moods", json={"decline_customers": ["broke"]})
    assert (await charge(provider, order())).status_code == 201
    first = await charge(provider, body, "k1")
    await provider.put("/moods", json={})
    assert (first.status_code, first.json()["code"]) == (402, "declined")
    assert (await charge(provider, body, "k1")).json() == first.json()
    assert await status(provider, body["reference"]) == "declined"
    assert (await charge(provider, body, "k2")).status_code == 201
    assert await status(provider, body["reference"]) == "charged"


async def test_a_failing_provider_does_nothing(provider: httpx.AsyncClient) -> None:
    body = order()
    for mood in ({"failing": True}, {"fail_rate": 1}):
        await provider.put("/moods", json=mood)
        assert (await charge(provider, body)).status_code == 500
    assert await kinds(provider, body["reference"]) == []
    assert (await provider.get("/stats")).json()["failed"] == 2


def pounds(amount: int) -> Json:
    return {"amount": amount, "currency": "GBP"}


async def refund(http: httpx.AsyncClient, body: Json, name: str, amount: int | None = None) -> httpx.Response:
    part = {} if amount is None else {"amount": pounds(amount)}
    return await http.post("/refunds", json={"reference": body["reference"], "refund": name, **part})


async def test_a_refund_happens_once_and_a_void_gives_back_the_rest(provider: httpx.AsyncClient) -> None:
    body = order()
    assert (await refund(provider, body, "r1", 200)).status_code == 404
    await charge(provider, body)
    refunds = [await refund(provider, body, "r1", 200) for _ in range(2)]
    assert [each.status_code for each in refunds] == [201, 200]
    assert refunds[0].json() == refunds[1].json()
    assert (await refund(provider, body, "r1", 300)).json()["code"] == "refund-reused"
    assert await status(provider, body["reference"]) == "charged"
    void = (await provider.post("/voids", json={"reference": body["reference"]})).json()
    assert (void["status"], void["refunded"]) == ("refunded", 1200)
    assert (await refund(provider, body, "r1", 200)).status_code == 200
    assert (await refund(provider, body, "r2", 1)).json()["code"] == "not-covered"
    assert await kinds(provider, body["reference"]) == ["charge", "refund", "void", "refund"]


async def test_refunds_at_once_never_give_back_more_than_was_charged(provider: httpx.AsyncClient) -> None:
    body = order()
    await charge(provider, body)
    answers = await asyncio.gather(*(refund(provider, body, f"r{number}", 500) for number in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]
    assert (await refund(provider, body, "r9", 201)).status_code == 409
    rest = await refund(provider, body, "rest")
    assert (rest.status_code, rest.json()["amount"], rest.json()["refunded"]) == (201, pounds(200), 1200)
    assert await status(provider, body["reference"]) == "refunded"
    entries = (await provider.get("/ledger", params={"reference": body["reference"]})).json()
    given = {entry["refund"]: entry["amount"]["amount"] for entry in entries if entry["kind"] == "refund"}
    assert sum(given.values()) == 1200
    assert given["rest"] == 200


async def test_a_refund_in_another_currency_is_refused(provider: httpx.AsyncClient) -> None:
    body = order()
    await charge(provider, body)
    wrong = {"reference": body["reference"], "refund": "r1", "amount": {"amount": 1, "currency": "EUR"}}
    answer = await provider.post("/refunds", json=wrong)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "amount.currency")


async def test_a_refund_cut_by_a_timeout_is_booked_and_found_again(provider: httpx.AsyncClient) -> None:
    body = order()
    await charge(provider, body)
    await provider.put("/moods", json={"timeout_after_refunding": True, "hang_seconds": 0.05})
    assert (await refund(provider, body, "r1", 200)).status_code == 504
    assert (await refund(provider, body, "r1", 200)).status_code == 200
    assert await kinds(provider, body["reference"]) == ["charge", "refund"]


async def test_a_restart_forgets_no_charge_no_refund_and_no_void(tmp_path: Path) -> None:
    ledger, charged, voided = tmp_path / "ledger.jsonl", order(), order()
    with a_provider(SLICELINE_PROVIDER_LEDGER=str(ledger)) as (url, process):
        async with client(url) as http:
            first = await charge(http, charged, "k1")
            part = await refund(http, charged, "r1", 200)
            await http.post("/voids", json={"reference": voided["reference"]})
        process.kill()
        process.wait(10)
    with ledger.open("a") as torn:
        torn.write('{"id": "cut of')
    with a_provider(SLICELINE_PROVIDER_LEDGER=str(ledger)) as (url, _):
        async with client(url) as http:
            assert (await charge(http, charged, "k1")).json() == first.json()
            again = await refund(http, charged, "r1", 200)
            assert (again.status_code, again.json()) == (200, part.json())
            assert (await charge(http, voided)).status_code == 409
            assert (await charge(http, order())).status_code == 201
    assert [line[:5] for line in ledger.read_text().splitlines()] == ['{"id"'] * 4


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_a_held_answer_does_not_hold_up_stopping(stop: signal.Signals) -> None:
    with a_provider() as (url, process):
        async with client(url) as http:
            await http.put("/moods", json={"timeout_after_charging": True, "hang_seconds": 300})
            held = asyncio.create_task(charge(http, order()))
            await called(http, 1)
            process.send_signal(stop)
            assert (await held).status_code == 504
        assert await asyncio.to_thread(process.wait, 5) == 0


@pytest.fixture(scope="module")
def mail_ports() -> Iterator[tuple[int, int]]:
    smtp, http = free_port(), free_port()
    ports = {"SLICELINE_SMTP_PORT": str(smtp), "SLICELINE_MAIL_PORT": str(http)}
    with running("sandbox.mail", f"http://127.0.0.1:{http}/readyz", **ports):
        yield smtp, http


@pytest.fixture
async def mail(mail_ports: tuple[int, int]) -> AsyncIterator[httpx.AsyncClient]:
    async with client(f"http://127.0.0.1:{mail_ports[1]}") as http:
        await http.delete("/api/v1/messages")
        yield http


def letter(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "Sliceline <shop@example.com>", "Ada <ada@example.com>, bob@example.com"
    message["Subject"], message["Message-ID"] = subject, "<confirmed-1@sliceline>"
    message.set_content("Your order is confirmed.\n\nThank you, Zoë.")
    return message


async def test_mail_sent_is_mail_shown(mail: httpx.AsyncClient, mail_ports: tuple[int, int]) -> None:
    await aiosmtplib.send(letter("First"), hostname="127.0.0.1", port=mail_ports[0])
    await aiosmtplib.send(letter("Pizza <b>für</b> Zoë"), hostname="127.0.0.1", port=mail_ports[0])
    listed = (await mail.get("/api/v1/messages")).json()
    newest = listed["messages"][0]
    assert (listed["total"], [m["Subject"] for m in listed["messages"]]) == (
        2,
        ["Pizza <b>für</b> Zoë", "First"],
    )
    assert newest["MessageID"] == "confirmed-1@sliceline"
    assert newest["From"] == {"Name": "Sliceline", "Address": "shop@example.com"}
    assert [to["Address"] for to in newest["To"]] == ["ada@example.com", "bob@example.com"]
    assert newest["Snippet"] == "Your order is confirmed. Thank you, Zoë."
    whole = (await mail.get(f"/api/v1/message/{newest['ID']}")).json()
    assert whole["Text"].splitlines() == ["Your order is confirmed.", "", "Thank you, Zoë."]


async def test_the_mail_page_shows_a_subject_as_text(mail: httpx.AsyncClient, mail_ports: tuple[int, int]) -> None:
    await aiosmtplib.send(letter("<script>"), hostname="127.0.0.1", port=mail_ports[0])
    page = (await mail.get("/")).text
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


async def test_mail_without_headers_is_known_by_its_envelope(
    mail: httpx.AsyncClient, mail_ports: tuple[int, int]
) -> None:
    def send() -> None:
        with smtplib.SMTP("127.0.0.1", mail_ports[0], timeout=10) as smtp:
            smtp.sendmail("shop@example.com", ["ada@example.com"], "Content-Type: text/plain; charset=nope\n\nhi")

    await asyncio.to_thread(send)
    (only,) = (await mail.get("/api/v1/messages")).json()["messages"]
    assert (only["From"]["Address"], only["To"][0]["Address"], only["Snippet"]) == (
        "shop@example.com",
        "ada@example.com",
        "hi",
    )


async def test_lists_of_mail_are_paged_and_can_be_emptied(mail: httpx.AsyncClient, mail_ports: tuple[int, int]) -> None:
    for number in range(3):
        await aiosmtplib.send(letter(str(number)), hostname="127.0.0.1", port=mail_ports[0])
    page = (await mail.get("/api/v1/messages", params={"start": 1, "limit": 1})).json()
    assert (page["total"], [m["Subject"] for m in page["messages"]]) == (3, ["1"])
    await mail.delete("/api/v1/messages")
    assert (await mail.get("/api/v1/messages")).json()["total"] == 0
    assert (await mail.get("/api/v1/message/gone")).status_code == 404


async def test_an_open_smtp_connection_does_not_hold_up_stopping() -> None:
    smtp, http = free_port(), free_port()
    ports = {"SLICELINE_SMTP_PORT": str(smtp), "SLICELINE_MAIL_PORT": str(http)}
    with (
        running("sandbox.mail", f"http://127.0.0.1:{http}/livez", **ports) as process,
        socket.create_connection(("127.0.0.1", smtp), 5) as idle,
    ):
        assert idle.recv(100).startswith(b"220")
        process.terminate()
        assert await asyncio.to_thread(process.wait, 5) == 0
