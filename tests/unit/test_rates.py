"""Rates of clients and principals: by a clock that is given, and for addresses that are written in many ways."""

import asyncio
import socket
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbone.http import rates
from backbone.http.clients import Client, Clients
from backbone.http.problems import Problem
from backbone.http.rates import SECOND, Rate, Rates
from backbone.identity.caller import NOBODY, Caller
from backbone.settings import Settings
from tests.waiting import eventually

URL = "postgresql://orders:secret@127.0.0.1:5432/orders"
PROXY, ELSEWHERE = "10.1.0.5", "203.0.113.9"

RATES = st.floats(0.01, 10_000)
BURSTS = st.integers(1, 50)
PAUSES = st.lists(st.integers(0, 3 * SECOND) | st.integers(0, 1000), min_size=1, max_size=200)


@given(RATES, BURSTS, PAUSES)
def test_over_any_time_no_more_are_let_in_than_the_burst_and_the_rate_allow(
    rate: float, burst: int, pauses: list[int]
) -> None:
    kept, now, admitted = Rate(rate, burst), 5, list[int]()
    for pause in pauses:
        now += pause
        if not kept.take("ada", now):
            admitted.append(now)
    for first, since in enumerate(admitted):
        for last, until in enumerate(admitted[first:], start=1):
            assert last <= burst + rate * (until - since) / SECOND + 1e-6


@given(RATES, BURSTS, PAUSES)
def test_after_the_seconds_that_a_refusal_names_the_next_is_let_in_and_hardly_before(
    rate: float, burst: int, pauses: list[int]
) -> None:
    kept, now = Rate(rate, burst), 0
    for pause in pauses:
        now += pause
        if wait := kept.take("ada", now):
            assert wait == 1 or kept.take("ada", now + (wait - 1) * SECOND)
            now += wait * SECOND
            assert kept.take("ada", now) == 0


@given(RATES, BURSTS, st.integers(0, 2**62))
def test_whoever_was_quiet_has_his_whole_burst_and_nothing_beyond(rate: float, burst: int, now: int) -> None:
    kept = Rate(rate, burst)
    assert [bool(kept.take("ada", now)) for _ in range(burst + 1)] == [False] * burst + [True]


def test_one_who_keeps_to_the_rate_is_never_refused_and_takes_nothing_of_anothers() -> None:
    kept = Rate(3, 1)
    for number in range(1000):
        assert kept.take("ada", number * SECOND // 3 + number) == 0
        kept.take("eve", 0)
    assert kept.take("eve", 0) == 1


def test_however_many_come_only_so_many_are_remembered_and_not_whoever_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST", 100)
    kept = Rate(1, 2)
    refused = Counter[bool]()
    for number in range(10_000):
        kept.take(f"one of many, {number}", number)
        refused[bool(kept.take("greedy", number))] += 1
    assert len(kept._paid_at) == 100
    assert refused == {False: 2, True: 9998}


# Who is counted


def settings(**given: Any) -> Settings:
    return Settings(database_url=URL, **given)


def asked(peer: str, *forwarded: str, **others: Any) -> dict[str, Any]:
    """A request over a connection of this peer's, with these headers X-Forwarded-For."""
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    return {"type": "http", "client": (peer, 50_000), "headers": headers, "state": {}, **others}


@pytest.mark.parametrize(
    "peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.2.3.4", "172.18.0.1", "fd00::7"]
)
def test_whoever_is_connected_from_a_private_network_is_within(peer: str) -> None:
    assert Clients(settings()).of(asked(peer)).is_within


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_client_is_its_address_or_its_network_of_ipv6(peer: str, name: str) -> None:
    assert Clients(settings()).of(asked(peer)) == Client(name, is_within=False)


@pytest.mark.parametrize("proxies", ["", "10.1.0.6", "10.2.0.0/16"])
def test_nobody_but_a_trusted_proxy_says_who_a_client_is(proxies: str) -> None:
    clients = Clients(settings(trusted_proxies=proxies))
    assert clients.of(asked(PROXY, "198.51.100.1")) == Client(PROXY, is_within=True)
    assert clients.of(asked(ELSEWHERE, "198.51.100.1")) == Client(ELSEWHERE, is_within=False)


@pytest.mark.parametrize("proxies", ["10.1.0.5", "10.1.0.0/16,2001:db8::/32", "::1, 10.1.0.5"])
@pytest.mark.parametrize(
    "forwarded",
    [
        [ELSEWHERE],
        [f"127.0.0.1, {ELSEWHERE}"],
        ["127.0.0.1", ELSEWHERE],
        [f"198.51.100.1,, nobody ,{ELSEWHERE} , 10.1.0.5"],
        [f"::ffff:{ELSEWHERE}"],
    ],
)
def test_of_whom_a_trusted_proxy_names_the_last_that_is_none_itself_is_the_client(
    proxies: str, forwarded: list[str]
) -> None:
    assert Clients(settings(trusted_proxies=proxies)).of(asked(PROXY, *forwarded)) == Client(ELSEWHERE, is_within=False)


@pytest.mark.parametrize("forwarded", ["127.0.0.1", "192.168.1.7"])
def test_whoever_comes_by_a_trusted_proxy_is_not_within_wherever_he_is(forwarded: str) -> None:
    clients = Clients(settings(trusted_proxies=PROXY))
    assert clients.of(asked(PROXY, forwarded)) == Client(forwarded, is_within=False)
    assert clients.of(asked(PROXY)) == Client(PROXY, is_within=True)


@pytest.mark.parametrize("forwarded", ["nobody", ",", "203.0.113.9:1234", "unknown, ", PROXY])
def test_where_a_trusted_proxy_names_nobody_its_clients_count_as_one(forwarded: str) -> None:
    assert Clients(settings(trusted_proxies=PROXY)).of(asked(PROXY, forwarded)) == Client(PROXY, is_within=False)


async def test_a_proxy_may_be_named_and_is_found_anew_when_it_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"front": "10.1.0.5"}

    async def ask(_: Any, host: str, port: None) -> list[Any]:
        if host not in where:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where[host], port))]

    monkeypatch.setattr(asyncio.get_running_loop().__class__, "getaddrinfo", ask)
    monkeypatch.setattr("backbone.http.clients.LOOKED_UP_AGAIN", 0.0)
    clients = Clients(settings(trusted_proxies="front,nowhere"))
    by_name = Client(ELSEWHERE, is_within=False)

    async def believes(peer: str) -> bool:
        return clients.of(asked(peer, ELSEWHERE)) == by_name

    await eventually(lambda: believes("10.1.0.5"), 5)
    assert await believes("::ffff:10.1.0.5")
    assert not await believes("10.1.0.6")
    where["front"] = "10.1.0.6"
    await eventually(lambda: believes("10.1.0.6"), 5)
    assert not await believes("10.1.0.5")
    del where["front"]
    for _ in range(3):
        assert await believes("10.1.0.6")
        assert clients._looking is not None
        await clients._looking


# What is counted


def test_a_request_is_counted_once_whichever_ways_it_goes() -> None:
    limits = Rates(settings(client_rate=1, client_burst=1, principal_rate=1, principal_burst=1))
    request = asked(ELSEWHERE)
    for _ in range(3):
        limits.admit_client(request)
        limits.admit_principal(request, Caller("ada", only="ada"))
    with pytest.raises(Problem):
        limits.admit_client(asked(ELSEWHERE))


@pytest.mark.parametrize(
    ("peer", "caller", "is_limited"),
    [
        ("127.0.0.1", Caller("ada", only="ada"), True),
        ("127.0.0.1", Caller("carts"), False),
        (ELSEWHERE, Caller("ada", only="ada"), True),
        (ELSEWHERE, Caller("kim"), True),
        (ELSEWHERE, NOBODY, False),
    ],
)
def test_a_principal_has_a_rate_unless_he_acts_for_the_shop_and_from_within(
    peer: str, caller: Caller, is_limited: bool
) -> None:
    limits = Rates(settings(principal_rate=0.5, principal_burst=1))

    def ask() -> None:
        request = asked(peer)
        limits.admit_client(request)
        limits.admit_principal(request, caller)

    ask()
    if not is_limited:
        ask()
        return
    with pytest.raises(Problem) as refused:
        ask()
    assert refused.value.headers == {"Retry-After": "2"}
    assert refused.value.detail == (
        "One principal may send 0.5 requests a second, and after a pause 1 at once. Try again in 2 s."
    )
