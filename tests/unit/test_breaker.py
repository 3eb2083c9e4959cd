"""Jobs of a kind rest when several different ones fail in a row for something outside, and not before."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiosmtplib
import asyncpg
import httpx
import pytest

from backbone.errors import SlicelineError
from backbone.jobs.breaker import FAILURES, REST, Breaker, failed
from backbone.running.faults import is_outside

NOW = datetime(2026, 11, 27, 19, 0, tzinfo=UTC)
KEYS = [f"order-{number}" for number in range(FAILURES)]


def after(*keys: str, breaker: Breaker | None = None, is_trial: bool = False) -> Breaker:
    """The breaker after jobs of these keys have failed."""
    breaker = breaker or Breaker()
    for key in keys:
        breaker = failed(breaker, key, "ConnectError: away", NOW, is_trial=is_trial)
    return breaker


def test_a_kind_rests_when_so_many_different_jobs_have_failed_in_a_row() -> None:
    assert after(*KEYS[:-1]).rests_until is None
    opened = after(*KEYS)
    assert (opened.opened_at, opened.rests_until, opened.error) == (NOW, NOW + REST.first, "ConnectError: away")


def test_one_job_that_fails_for_ever_lets_nobody_rest() -> None:
    assert after(*["bad address"] * 100).opened_at is None
    assert after(*KEYS[:2], *["bad address"] * 100).opened_at is None


def test_what_was_in_hand_when_the_rest_began_makes_it_no_longer() -> None:
    opened = after(*KEYS)
    assert after("another", "and another", breaker=opened) == opened


def test_rests_grow_with_each_trial_that_fails_up_to_the_longest() -> None:
    breaker, lasted = after(*KEYS), list[timedelta]()
    for _ in range(8):
        breaker = after("tried", breaker=breaker, is_trial=True)
        lasted.append((breaker.rests_until or NOW) - NOW)
    assert lasted[:2] == [2 * REST.first, 4 * REST.first]
    assert lasted[-1] == REST.longest
    assert breaker.opened_at == NOW


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "is_away"),
    [
        (httpx.ConnectError("refused"), True),
        (aiosmtplib.SMTPServerDisconnected("gone"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (chained(SlicelineError("it did not answer"), httpx.ReadTimeout("late")), True),
        (aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(452, "full", "ada@example.com")]), False),
        (SlicelineError("this order is not to be charged"), False),
        (KeyError("order"), False),
        (asyncpg.DeadlockDetectedError(), False),
        (asyncpg.LockNotAvailableError(), False),
        (chained(TimeoutError(), asyncpg.QueryCanceledError()), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_only_what_is_outside_and_may_come_back_counts(error: BaseException, is_away: bool) -> None:
    assert is_outside(error) is is_away
