"""What fails again and again outside is not hammered: jobs of the kind rest in all replicas, and one is tried."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from backbone.context import Context
from backbone.jobs import breaker
from backbone.jobs.breaker import FAILURES
from backbone.jobs.work import Done, Job, Work
from backbone.jobs.worker import Worker
from backbone.observing import metrics
from backbone.running.retry import RetryPolicy
from backbone.settings import Settings
from backbone.storage import backlog, gauges, sql
from backbone.storage.bell import Bell
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Session, Statement
from tests.integration.things import Things, running
from tests.waiting import eventually

KIND = "bake"
HOUR = timedelta(hours=1)
QUICK = RetryPolicy(first=timedelta(milliseconds=20), longest=timedelta(milliseconds=20))
EVERYBODY = frozenset({"*"})


@dataclass
class Outside:
    """Something that is called by jobs, and may be away for some of them; others are broken themselves."""

    away: frozenset[str] = EVERYBODY
    broken: frozenset[str] = frozenset()
    calls: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    async def call(self, job: Job, _: Context[Any]) -> str:
        self.calls.append(job.key)
        if job.key in self.broken:
            raise KeyError(job.key)
        if self.away & {job.key, *EVERYBODY}:
            raise ConnectionRefusedError("away")
        return job.key

    async def settle(self, done: Sequence[Done], _: Tx) -> None:
        self.done += [each.outcome for each in done]


@asynccontextmanager
async def replicas(
    thing: Things, outside: Outside, count: int = 2, retry: RetryPolicy = QUICK
) -> AsyncIterator[list[Worker]]:
    """Processes that call what is outside, each one job at a time."""
    databases = [Database(thing.database._url, thing.name) for _ in range(count)]
    work = Work(outside.call, outside.settle, retry, concurrency=1, exhausted=lambda job: f"{job.key} given up")
    settings = Settings(database_url="postgresql://unused")
    workers = [Worker(KIND, work, Context(settings, each)) for each in databases]
    async with running(*map(Bell, databases), *workers):
        yield workers
    for each in databases:
        await each.close()


async def schedule(thing: Things, *keys: str) -> None:
    async with thing.database.transaction() as tx:
        for key in keys:
            tx.schedule(KIND, key)


async def jobs(thing: Things) -> backlog.Jobs:
    [now] = (await backlog.look(thing.database)).jobs
    return now


async def rests(thing: Things) -> bool:
    return (await jobs(thing)).rests_since is not None


async def is_idle(thing: Things) -> bool:
    return not (await jobs(thing)).in_hand


async def end_rest(thing: Things) -> None:
    await thing.database.fetch("UPDATE breakers SET rests_until = now()")
    thing.database.wakeups.rouse("job", KIND)


Lasting = Callable[[timedelta], None]


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> Lasting:
    """Sets how long a rest lasts."""
    return lambda rest: monkeypatch.setattr(breaker, "REST", RetryPolicy(first=rest, longest=rest))


async def test_jobs_rest_when_several_have_failed_and_one_at_a_time_is_tried_until_one_succeeds(
    thing: Things, lasting: Lasting
) -> None:
    lasting(HOUR)
    outside = Outside()
    keys = [f"order-{number}" for number in range(12)]
    async with replicas(thing, outside), running(Bell(thing.database)):
        await schedule(thing, *keys)
        await eventually(lambda: rests(thing))
        await eventually(lambda: is_idle(thing))
        called = len(outside.calls)
        assert FAILURES <= called <= FAILURES + 1  # the other replica had one in hand
        now = await backlog.look(thing.database)
        assert now.jobs[0].failing_error == "ConnectionRefusedError: away"
        await end_rest(thing)
        await eventually(lambda: len(outside.calls) > called)
        await eventually(lambda: has_rested(thing, 2))
        assert len(outside.calls) == called + 1
        outside.away = frozenset()
        await end_rest(thing)
        await eventually(lambda: sorted(outside.done) == sorted(keys))
        assert await thing.database.fetch("SELECT FROM breakers") == []


async def has_rested(thing: Things, times: int) -> bool:
    return [row["rests"] for row in await thing.database.fetch("SELECT rests FROM breakers")] == [times]


async def test_one_that_fails_for_itself_lets_nobody_rest(thing: Things, lasting: Lasting) -> None:
    lasting(HOUR)
    outside = Outside(away=frozenset({"bad address"}))
    async with replicas(thing, outside, 1):
        await schedule(thing, "bad address")
        await eventually(lambda: outside.calls.count("bad address") > 2 * FAILURES)
        assert not await rests(thing)
        await schedule(thing, "good")
        await eventually(lambda: outside.done == ["good"])


async def test_all_are_done_soon_after_what_was_away_is_back_without_anybodys_help(
    thing: Things, lasting: Lasting
) -> None:
    lasting(timedelta(seconds=0.2))
    outside = Outside()
    keys = [f"order-{number}" for number in range(30)]
    async with replicas(thing, outside):
        await schedule(thing, *keys)
        await eventually(lambda: has_rested_for_long(thing))
        outside.away = frozenset()
        await eventually(lambda: sorted(outside.done) == sorted(keys), 20)


async def test_a_trial_that_fails_for_itself_lets_another_be_tried_at_once(thing: Things, lasting: Lasting) -> None:
    lasting(HOUR)
    outside = Outside(broken=frozenset({"broken"}), away=frozenset())
    await thing.database.fetch(
        "INSERT INTO breakers (kind, opened_at, rests_until, rests) VALUES ($1, now(), now(), 1)", KIND
    )
    await schedule(thing, "broken")
    await schedule(thing, "good")
    async with replicas(thing, outside):
        await eventually(lambda: outside.done == ["good"], 20)
    assert outside.calls[0] == "broken"


async def test_jobs_that_are_given_up_do_not_end_a_rest(thing: Things, lasting: Lasting) -> None:
    lasting(HOUR)
    outside = Outside()
    keys = [f"order-{number}" for number in range(FAILURES)]
    async with replicas(thing, outside, retry=RetryPolicy(attempts=1)):
        await schedule(thing, *keys)
        await eventually(lambda: sorted(outside.done) == [f"{key} given up" for key in keys])
        await schedule(thing, "the next")
        await eventually(lambda: rests(thing))
    assert "the next" not in outside.calls


async def test_an_idle_worker_asks_one_thing_where_it_hears_of_nobody(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backbone.jobs.worker.POLL", 0.01)
    asked: list[Statement] = []
    fetch = Statement.fetch

    async def noted(self: Statement, session: Session, /, **given: Any) -> list[Any]:
        asked.append(self)
        return await fetch(self, session, **given)

    monkeypatch.setattr(Statement, "fetch", noted)
    work = Work(Outside().call, Outside().settle, QUICK)
    async with running(Worker(KIND, work, Context(Settings(database_url="postgresql://unused"), thing.database))):
        await eventually(lambda: len(asked) > 3)
    assert set(asked) == {sql.JOB_CLAIM}


async def has_rested_for_long(thing: Things) -> bool:
    return bool(await thing.database.fetch("SELECT FROM breakers WHERE rests > 2"))


async def test_a_rest_is_told_with_what_fails_and_when_it_is_tried_again(thing: Things) -> None:
    await schedule(thing, "order-1")
    await thing.database.fetch("UPDATE jobs SET error = 'away', first_attempt_at = now() - interval '5 minutes'")
    await thing.database.fetch(
        "INSERT INTO breakers (kind, opened_at, rests_until) VALUES ($1, now(), now() + interval '30 seconds')", KIND
    )
    now = await backlog.look(thing.database)
    assert f'sliceline_jobs_resting{{kind="{KIND}"}} 1.0' in metrics.exposed("", gauges.Gauges(now, []))[0].decode()
    [said] = backlog.needs(now)
    assert said.startswith("1 bake job failing, the first since 20")
    assert "the last error: away; they rest since 20" in said
    assert ", one is tried at 20" in said
