"""The HTTP server while nobody asks: it has no tick, and what an answer needs is made when there is one."""

import asyncio

import pytest

from backbone.http.wire.server import Server


async def _nothing(*_: object) -> None:
    return None


def _date(server: Server) -> bytes:
    return dict(server.server_state.default_headers)[b"date"]


def test_an_answer_has_the_date_of_its_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000.9
    monkeypatch.setattr("backbone.http.wire.connection.time.time", lambda: now)
    server = Server(_nothing)
    assert _date(server) == b"Tue, 14 Nov 2023 22:13:20 GMT"
    now += 0.2
    assert _date(server) == b"Tue, 14 Nov 2023 22:13:21 GMT"


async def test_a_server_waits_without_a_tick_until_it_is_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(_nothing)
    monkeypatch.setattr(server, "on_tick", lambda *_: pytest.fail("it looked around"))
    waiting = asyncio.create_task(server.main_loop())
    await asyncio.sleep(0)
    assert not waiting.done()
    server.should_exit = True
    await asyncio.wait_for(waiting, 5)
