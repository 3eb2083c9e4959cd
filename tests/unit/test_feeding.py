"""Who feeds a service has its consumer wait first."""

from collections.abc import Iterator

import httpx
import pytest
import typer

from cli.feeding import Ends


def ends(*answers: httpx.Response | Exception) -> Ends:
    """A service that answers so, one after the other."""
    coming: Iterator[httpx.Response | Exception] = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        found = next(coming)
        if isinstance(found, Exception):
            raise found
        keys.add(request.headers["Idempotency-Key"])
        return found

    keys.clear()
    client = httpx.Client(base_url="http://kitchen", transport=httpx.MockTransport(answer))
    return Ends(client, client, "kitchen")


keys: set[str] = set()
MADE = httpx.Response(201, json={"id": 7})


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.feeding.AGAIN", 0)


def test_a_consumer_that_waits_already_or_is_none_is_not_paused_again() -> None:
    assert [ends(httpx.Response(status)).pause("tea") for status in (409, 422)] == [None, None]


def test_a_service_that_is_away_for_a_moment_is_asked_again_for_the_same_pause() -> None:
    away = httpx.Response(429), httpx.Response(503), httpx.ConnectError("gone")
    assert ends(*away, MADE).pause("tea") == 7
    assert len(keys) == 1


def test_nobody_is_fed_who_cannot_be_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.feeding.PATIENCE", 0.0)
    for status in (429, 500, 503):
        with pytest.raises(typer.Exit):
            ends(httpx.Response(status, json={"title": "no"})).pause("tea")
