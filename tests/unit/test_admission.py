"""As many are let in as are answered soon: by a clock and a server that only count."""

import heapq
from collections.abc import Iterator

import pytest
from starlette.types import Message

from backbone.http.admission import FEWEST, FIRST, SOON, Admission
from backbone.http.express import _Arrival
from backbone.http.problems import Problem

GOAL = 0.5
"""Seconds in which 99 of 100 who are let in are to be answered."""


def arrivals(rate: float, seconds: float) -> Iterator[float]:
    return (number / rate for number in range(int(rate * seconds)))


def served(capacity: float, rate: float, seconds: float) -> tuple[list[float], int]:
    """How long those waited whom a server of so many answers a second let in, one after the other; and the refused."""
    admission, ends, waits, refused, free = Admission(2000), list[tuple[float, float]](), list[float](), 0, 0.0
    for now in arrivals(rate, seconds):
        while ends and ends[0][0] <= now:
            ended, came = heapq.heappop(ends)
            admission.leave(came, ended)
        try:
            admission.enter()
        except Problem:
            refused += 1
            continue
        free = max(free, now) + 1 / capacity
        heapq.heappush(ends, (free, now))
        waits.append(free - now)
    return sorted(waits), refused


@pytest.mark.parametrize("capacity", [100, 600])
@pytest.mark.parametrize("times", [2, 5, 30])
def test_who_is_let_in_is_answered_soon_however_many_come(capacity: int, times: int) -> None:
    waits, refused = served(capacity, capacity * times, 60)
    assert refused
    assert waits[len(waits) * 99 // 100] < GOAL
    assert len(waits) > 0.9 * capacity * 60, "the server stands idle while customers are refused"


@pytest.mark.parametrize("capacity", [100, 600])
def test_nobody_is_refused_while_the_server_keeps_up(capacity: int) -> None:
    waits, refused = served(capacity, capacity * 0.9, 60)
    assert not refused
    assert len(waits) == int(capacity * 0.9 * 60)


def test_a_refusal_says_when_to_come_again() -> None:
    admission = Admission(2)
    admission.enter()
    admission.enter()
    with pytest.raises(Problem) as refused:
        admission.enter()
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})


async def test_a_request_is_timed_from_when_its_body_was_there() -> None:
    coming: Iterator[Message] = iter([{"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(coming)

    arrival = _Arrival(receive)
    began = arrival.at
    await arrival.receive()
    there = arrival.at
    await arrival.receive()
    assert began < there == arrival.at


def test_a_place_that_was_given_back_can_be_taken() -> None:
    admission = Admission(1)
    for _ in range(3):
        admission.enter()
        admission.leave(0.0, SOON)
    assert admission.under_way == 0


def test_those_who_waited_together_count_once() -> None:
    admission = Admission(2000)
    for _ in range(FIRST):
        admission.enter()
    for _ in range(FIRST):
        admission.leave(0.0, 10 * SOON)
    assert admission.allowed == FIRST / 2


def test_some_are_let_in_however_slow_it_is() -> None:
    admission = Admission(2000)
    for now in range(100):
        admission.enter()
        admission.leave(float(now), now + 0.99)
    assert admission.allowed == FEWEST
