"""A name that resolves slowly, or not at all, holds up nobody who calls another one."""

import asyncio
from collections.abc import Sequence

import pytest

from backbone.values.networks import networks_of
from services.webhooks import calling, names
from services.webhooks.addresses import Rules
from services.webhooks.calling import Caller, Unreached
from tests.integration.receivers import listening
from tests.waiting import eventually


class Counting:
    """A resolver that notes what it is asked, and answers when it is told to."""

    def __init__(self, *addresses: str) -> None:
        self.asked: list[str] = []
        self.answers = asyncio.Event()
        self.addresses = addresses

    async def resolve(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        await self.answers.wait()
        if not self.addresses:
            raise OSError("no such name")
        return self.addresses


async def test_callers_of_one_name_share_its_lookup() -> None:
    resolver = Counting("127.0.0.1")
    async with listening("127.0.0.1") as listener:
        caller = Caller(Rules(frozenset({listener.port}), networks_of("127.0.0.1")), 5.0, resolve=resolver.resolve)
        url = f"http://hooks.example.com:{listener.port}/"
        calls = [asyncio.create_task(caller.post(url, {}, b"{}")) for _ in range(20)]
        await eventually(lambda: len(resolver.asked) > 0)
        resolver.answers.set()
        assert [(await call).status for call in calls] == [200] * 20
        await caller.aclose()
    assert resolver.asked == ["hooks.example.com"]


async def test_a_lookup_that_nobody_waits_for_any_more_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "CONNECTING", 0.05)
    resolver = Counting("192.0.2.1")
    caller = Caller(Rules(), 5.0, resolve=resolver.resolve)
    for _ in range(5):
        with pytest.raises(Unreached, match="not resolved"):
            await caller.post("http://slow.example.com/", {}, b"{}")
    await caller.aclose()
    assert resolver.asked == ["slow.example.com"]


@pytest.mark.parametrize(("remembered", "lookups"), [(60.0, 1), (0.0, 3)])
async def test_a_name_that_is_not_found_is_not_looked_up_again_for_some_seconds(
    monkeypatch: pytest.MonkeyPatch, remembered: float, lookups: int
) -> None:
    monkeypatch.setattr(names, "FAILED_FOR", remembered)
    resolver = Counting()
    resolver.answers.set()
    caller = Caller(Rules(), 5.0, resolve=resolver.resolve)
    for _ in range(3):
        with pytest.raises(Unreached, match="no such name"):
            await caller.post("http://nobody.example.com/", {}, b"{}")
    await caller.aclose()
    assert len(resolver.asked) == lookups
