from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbone.running.retry import FOR_EVER, RetryPolicy, repeat

NONE = timedelta(0)
SECOND = timedelta(seconds=1)


def test_the_delay_doubles_up_to_the_longest() -> None:
    policy = RetryPolicy(first=SECOND, factor=2, longest=5 * SECOND)
    assert [policy.next_delay(attempt, NONE) for attempt in range(1, 6)] == [
        SECOND,
        2 * SECOND,
        4 * SECOND,
        5 * SECOND,
        5 * SECOND,
    ]


def test_the_last_attempt_is_the_last() -> None:
    policy = RetryPolicy(attempts=3)
    assert policy.next_delay(2, NONE) is not None
    assert policy.next_delay(3, NONE) is None
    assert policy.next_delay(4, NONE) is None


def test_time_bounds_as_attempts_do_whichever_comes_first() -> None:
    policy = RetryPolicy(attempts=5, within=60 * SECOND)
    assert policy.next_delay(1, 59 * SECOND) is not None
    assert policy.next_delay(1, 60 * SECOND) is None
    assert policy.next_delay(5, NONE) is None


@given(attempt=st.integers(1, 10**9), since_first=st.timedeltas(NONE, timedelta(days=3650)))
def test_without_a_bound_it_never_gives_up_and_never_overflows(attempt: int, since_first: timedelta) -> None:
    delay = FOR_EVER.next_delay(attempt, since_first)
    assert delay is not None
    assert NONE < delay <= FOR_EVER.longest


@given(attempt=st.integers(1, 500), factor=st.floats(1, 100), first=st.timedeltas(timedelta(0, 0, 1), SECOND * 3600))
def test_a_later_attempt_never_waits_less(attempt: int, factor: float, first: timedelta) -> None:
    policy = RetryPolicy(first=first, factor=factor)
    earlier, later = policy.next_delay(attempt, NONE), policy.next_delay(attempt + 1, NONE)
    assert earlier is not None
    assert later is not None
    assert earlier <= later


class Tried:
    """Work that fails in these ways, one after the other, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.told: list[tuple[Exception, timedelta]] = []

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def repeated(self, attempts: int) -> str:
        policy = RetryPolicy(first=timedelta(milliseconds=1), factor=2, attempts=attempts)
        return await repeat(
            self, policy, lambda error: isinstance(error, OSError), lambda *told: self.told.append(told)
        )


async def test_work_whose_errors_pass_is_repeated_until_it_succeeds() -> None:
    first, second = OSError("away"), OSError("away still")
    work = Tried(first, second)
    assert await work.repeated(attempts=3) == "done"
    assert work.told == [(first, timedelta(milliseconds=1)), (second, timedelta(milliseconds=2))]


@pytest.mark.parametrize("attempts", [2, 3])
async def test_work_is_repeated_as_long_as_the_policy_says(attempts: int) -> None:
    work = Tried(*(OSError(str(number)) for number in range(1, 10)))
    with pytest.raises(OSError, match=str(attempts)):
        await work.repeated(attempts)
    assert len(work.told) == attempts - 1


async def test_an_error_that_does_not_pass_ends_the_repeating_at_once() -> None:
    work = Tried(OSError("away"), ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        await work.repeated(attempts=9)
    assert work.errors == []
