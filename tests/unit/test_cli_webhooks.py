"""What `./sliceline webhooks listen` answers and tells."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import typer

from backbone.values.signing import new_secret
from cli.webhooks import Action, Receiver, serving, webhooks
from services.webhooks.signing import signed

SECRET = new_secret()
PLACED = "sliceline.orders.order-placed.v1"
EVENT = {"type": PLACED, "subject": "a", "time": "2026-11-01T18:30:00Z", "data": {"order": "a"}}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with serving(Receiver(503, SECRET), 0) as address, httpx.Client(base_url=address, trust_env=False) as opened:
        yield opened


def send(client: httpx.Client, event: Any, secret: str = SECRET) -> httpx.Response:
    body = json.dumps(event).encode()
    return client.post("/", content=body, headers=signed("msg_1", datetime.now(UTC), body, [secret]))


def test_a_ping_is_answered_with_its_challenge(client: httpx.Client) -> None:
    answer = send(client, {"type": "sliceline.webhooks.ping.v1", "data": {"challenge": "abc"}})
    assert (answer.status_code, answer.text) == (200, "abc")


def test_an_event_is_told_and_answered_as_was_chosen(client: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert send(client, EVENT).status_code == 503
    said = capsys.readouterr().out
    assert "sliceline.orders.order-placed.v1 of a: signature right, answered 503" in said
    assert '"order": "a"' in said


def test_an_event_that_comes_again_is_told_so(client: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    send(client, EVENT)
    send(client, EVENT)
    assert "of a again: signature right" in capsys.readouterr().out


def test_a_wrong_signature_is_told(client: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    send(client, EVENT, new_secret())
    assert "WRONG SIGNATURE" in capsys.readouterr().out


@pytest.mark.parametrize("said", [[], {}, {"type": 1}, "text", None])
def test_what_is_no_event_is_shown_as_it_is(
    client: httpx.Client, said: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert send(client, said).status_code == 503
    assert json.loads(capsys.readouterr().out.partition("answered 503")[2]) == said


def test_what_is_no_json_is_refused(client: httpx.Client) -> None:
    assert client.post("/", content=b"no json").status_code == 400


def test_a_body_without_an_end_is_refused(client: httpx.Client) -> None:
    assert client.post("/", content=iter([b"{}"])).status_code == 413


@pytest.mark.parametrize("events", ["foo bar", "", "sliceline.orders.**", "orders.*", "sliceline.a,,sliceline.b"])
def test_events_that_no_event_can_be_are_refused(events: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        webhooks(Action.LISTEN, events)
    assert "--events takes types such as" in capsys.readouterr().err
