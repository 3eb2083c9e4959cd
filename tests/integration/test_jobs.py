"""Jobs: done outside any transaction, settled once in one, tried again by policy, and never lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from backbone.application import create_application
from backbone.context import Context
from backbone.decision import Decision, Start
from backbone.events.payload import Cause
from backbone.jobs.work import Done, Job, Postpone, Work
from backbone.jobs.worker import Worker
from backbone.running.retry import RetryPolicy
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage import backlog
from backbone.storage.database import Tx
from tests.integration.one_service import until_a_lock_is_awaited
from tests.integration.things import Things, running, running_until_killed
from tests.issuing import SOMEBODY, by
from tests.waiting import eventually

QUICK = RetryPolicy(first=timedelta(milliseconds=50), longest=timedelta(milliseconds=200))
KIND = "bake"
BAKED, GIVEN_UP = "baked", "given up"


class Burnt(Exception):
    """An attempt that failed."""


@dataclass
class Oven:
    """Work that a test can hold back, and that remembers its attempts."""

    thing: Things
    failures: list[Exception] = field(default_factory=list)
    attempts: list[Job] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    busy: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self.open.set()

    async def bake(self, job: Job, _: Context[Any]) -> str:
        self.attempts.append(job)
        self.times.append(datetime.now(UTC))
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await self.open.wait()
        finally:
            self.busy -= 1
        if self.failures:
            raise self.failures.pop(0)
        return BAKED

    async def serve(self, done: Sequence[Done], tx: Tx) -> None:
        self.served.append(len(done))
        for each in done:
            job, number = each.job, each.job.data.get("number", 0)
            effect = (job.key, number) if each.outcome is BAKED else (each.outcome, job.attempt)
            await tx.raw.execute("INSERT INTO effects VALUES ($1, $2)", *effect)
            tx.publish(self.thing.happened(number), key=job.key, cause=each.cause)

    def work(self, retry: RetryPolicy = QUICK, **given: Any) -> Work[Any]:
        return Work(self.bake, self.serve, retry, **given)

    async def has_tried(self, times: int) -> bool:
        return len(self.attempts) >= times


@pytest.fixture
def oven(thing: Things) -> Oven:
    return Oven(thing)


@pytest.fixture
def context(thing: Things) -> Context[Any]:
    return Context(Settings(database_url="postgresql://unused"), thing.database)


async def order(thing: Things, key: str, data: Mapping[str, Any] | None = None, *, due: datetime | None = None) -> None:
    async with thing.database.transaction(Cause("the-correlation")) as tx:
        tx.schedule(KIND, key, data, due=due)


async def withdraw(thing: Things, key: str) -> None:
    async with thing.database.transaction() as tx:
        tx.withdraw(KIND, key)


async def decide(thing: Things, decision: Decision[None]) -> None:
    async with thing.database.transaction() as tx:
        tx.apply(decision, key="a")


async def stored(thing: Things) -> list[Mapping[str, Any]]:
    async with thing.database.transaction() as tx:
        return [dict(row) for row in await tx.raw.fetch("SELECT * FROM jobs ORDER BY id")]


async def served(thing: Things, count: int) -> bool:
    return len(await thing.effects()) >= count


async def none_left(thing: Things) -> bool:
    return not await stored(thing)


async def test_a_decision_stops_what_was_asked_for_before_it_starts_anything(thing: Things) -> None:
    await order(thing, "a", {"number": 1})
    await order(thing, "b", {"number": 2})
    later = datetime(2099, 1, 1, tzinfo=UTC)
    start = (Start(KIND, data={"number": 3}, due=later), Start("wash", key="the oven"))
    await decide(thing, Decision(None, start=start, stop=(KIND,)))
    jobs = {(job["kind"], job["key"]): (job["data"], job["due"] == later) for job in await stored(thing)}
    assert jobs == {
        (KIND, "a"): ({"number": 3}, True),
        (KIND, "b"): ({"number": 2}, False),
        ("wash", "the oven"): ({}, False),
    }
    await decide(thing, Decision(None, stop=(KIND,)))
    assert [job["key"] for job in await stored(thing)] == ["b", "the oven"]


async def test_a_job_is_done_and_settled_in_one_transaction(thing: Things, oven: Oven, context: Context[Any]) -> None:
    await order(thing, "a", {"number": 7})
    async with running(Worker(KIND, oven.work(), context)):
        await eventually(lambda: none_left(thing))
    assert await thing.effects() == [("a", 7)]
    [job] = oven.attempts
    assert (job.key, job.attempt, job.cause.correlationid) == ("a", 1, "the-correlation")
    async with thing.database.transaction() as tx:
        [row] = await tx.raw.fetch("SELECT correlationid, payload FROM outbox")
    assert (row["correlationid"], row["payload"]) == ("the-correlation", '{"number":7}')


async def test_a_settlement_that_fails_leaves_nothing_and_the_job_is_tried_again(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    class Clumsy(Oven):
        async def serve(self, done: Sequence[Done], tx: Tx) -> None:
            await super().serve(done, tx)
            if any(each.job.attempt == 1 for each in done):
                raise Burnt("dropped it")

    clumsy = Clumsy(thing)
    await order(thing, "a")
    async with running(Worker(KIND, clumsy.work(), context)):
        await eventually(lambda: none_left(thing))
    assert [job.attempt for job in clumsy.attempts] == [1, 2]
    assert await thing.effects() == [("a", 0)]


async def test_a_job_that_cannot_be_settled_yet_holds_up_no_other_and_is_not_done_again(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    """Somebody holds the row that counts the events of its key."""
    keys = [f"key-{number}" for number in range(12)]
    await thing.publish(keys[5], 0)
    async with running(Worker(KIND, oven.work(concurrency=12), context)):
        async with thing.database.transaction() as holding:
            await holding.raw.execute("SELECT FROM sequences WHERE key = $1 FOR UPDATE", keys[5])
            for key in keys:
                await order(thing, key)
            await eventually(lambda: served(thing, 11), within=10)
            assert [job["key"] for job in await stored(thing)] == [keys[5]]
        await eventually(lambda: none_left(thing))
    assert Counter(job.key for job in oven.attempts) == dict.fromkeys(keys, 1)
    assert await thing.database.fetch("SELECT FROM retried_jobs") == []
    assert sorted(key for key, _ in await thing.effects()) == sorted(keys)


async def test_jobs_that_wait_for_a_lock_leave_connections_to_the_others(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    async def wait_for_the_lock(job: Job, given: Context[Any]) -> str:
        await given.database.fetch("SELECT pg_advisory_xact_lock(1)")
        return await oven.bake(job, given)

    work = Work[Any](wait_for_the_lock, oven.serve, QUICK, concurrency=40)
    async with running(Worker(KIND, work, context)):
        async with thing.database.transaction() as holding:
            await holding.raw.execute("SELECT pg_advisory_xact_lock(1)")
            for number in range(40):
                await order(thing, f"key-{number}")
            await until_a_lock_is_awaited(thing.database)
            async with asyncio.timeout(2):
                await thing.publish("a", 1)
        await eventually(lambda: none_left(thing))


async def test_it_is_tried_again_after_growing_delays(thing: Things, oven: Oven, context: Context[Any]) -> None:
    oven.failures = [Burnt("once"), Burnt("twice"), Burnt("thrice")]
    policy = RetryPolicy(first=timedelta(milliseconds=100), factor=4)
    await order(thing, "a")
    async with running(Worker(KIND, oven.work(policy), context)):
        await eventually(lambda: oven.has_tried(3))
        await eventually(lambda: none_left(thing))
    assert [job.attempt for job in oven.attempts] == [1, 2, 3, 4]
    assert len({job.first_attempt_at for job in oven.attempts}) == 1
    [left] = await thing.database.fetch("SELECT kind, key, attempts, error, correlationid FROM retried_jobs")
    assert tuple(left) == (KIND, "a", 4, "Burnt: thrice", "the-correlation")
    waits = [later - earlier for earlier, later in zip(oven.times, oven.times[1:], strict=False)]
    for wait, least in zip(waits, (0.1, 0.4, 1.6), strict=True):
        assert wait >= timedelta(seconds=least)


async def test_a_job_given_up_is_parked_with_its_error(thing: Things, oven: Oven, context: Context[Any]) -> None:
    async def is_parked() -> bool:
        return (await stored(thing))[0]["parked_at"] is not None

    oven.failures = [Burnt("once"), Burnt("for good")]
    await order(thing, "a")
    async with running(Worker(KIND, oven.work(replace(QUICK, attempts=2)), context)):
        await eventually(is_parked)
        await order(thing, "b")
        await eventually(lambda: served(thing, 1))
    [job] = await stored(thing)
    assert (job["key"], job["attempts"], job["error"]) == ("a", 2, "Burnt: for good")
    assert len(oven.attempts) == 3


async def test_a_hook_can_end_an_exhausted_job_in_one_transaction_with_its_own_effect(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    oven.failures = [Burnt("once"), Burnt("for good")]
    await order(thing, "a")
    async with running(Worker(KIND, oven.work(replace(QUICK, attempts=2), exhausted=lambda _: GIVEN_UP), context)):
        await eventually(lambda: none_left(thing))
    assert await thing.effects() == [(GIVEN_UP, 2)]


async def test_a_hook_that_fails_is_tried_again_and_the_job_is_not_lost(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    def give_up(job: Job) -> str:
        if job.attempt == 1:
            raise Burnt("the hook as well")
        return GIVEN_UP

    oven.failures = [Burnt("once"), Burnt("twice")]
    await order(thing, "a")
    work = oven.work(replace(QUICK, attempts=1), exhausted=give_up, lease=timedelta(seconds=1))
    async with running(Worker(KIND, work, context)):
        await eventually(lambda: none_left(thing))
    assert await thing.effects() == [(GIVEN_UP, 2)]


async def test_postponing_is_no_attempt(thing: Things, oven: Oven, context: Context[Any]) -> None:
    oven.failures = [Postpone(timedelta(milliseconds=50)), Postpone(timedelta(milliseconds=50)), Burnt("once")]
    await order(thing, "a")
    async with running(Worker(KIND, oven.work(replace(QUICK, attempts=2)), context)):
        await eventually(lambda: none_left(thing))
    assert [job.attempt for job in oven.attempts] == [1, 1, 1, 2]
    assert await thing.effects() == [("a", 0)]


async def test_a_job_that_failed_and_is_then_postponed_waits_and_does_not_fail(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    oven.failures = [Burnt("once"), Postpone(timedelta(hours=1))]
    await order(thing, "a")
    async with running(Worker(KIND, oven.work(), context)):
        await eventually(lambda: oven.has_tried(2))
        await eventually(lambda: has_failing(thing, 0), 10)
    [job] = await stored(thing)
    assert (job["attempts"], job["lease"]) == (1, None)
    assert job["first_attempt_at"] is not None


async def has_failing(thing: Things, count: int) -> bool:
    return sum(each.failing for each in (await backlog.look(thing.database)).jobs) == count


async def test_a_job_withdrawn_while_it_runs_does_not_settle(thing: Things, oven: Oven, context: Context[Any]) -> None:
    oven.open.clear()
    await order(thing, "a")
    async with running(Worker(KIND, oven.work(), context)):
        await eventually(lambda: oven.has_tried(1))
        await withdraw(thing, "a")
        oven.open.set()
    assert await thing.effects() == []
    assert await none_left(thing)


async def test_a_job_rescheduled_while_it_runs_is_done_anew_and_settles_once(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    oven.open.clear()
    await order(thing, "a", {"number": 1})
    async with running(Worker(KIND, oven.work(), context)):
        await eventually(lambda: oven.has_tried(1))
        await order(thing, "a", {"number": 2})
        await eventually(lambda: oven.has_tried(2))
        oven.open.set()
        await eventually(lambda: none_left(thing))
    assert await thing.effects() == [("a", 2)]
    assert [job.attempt for job in oven.attempts] == [1, 1]


async def test_the_job_of_a_killed_worker_is_done_by_another_after_its_lease(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    oven.open.clear()
    await order(thing, "a")
    work = oven.work(lease=timedelta(seconds=1))
    async with running_until_killed(Worker(KIND, work, context)):
        await eventually(lambda: oven.has_tried(1))
    oven.open.set()
    async with running(Worker(KIND, work, context)):
        await eventually(lambda: none_left(thing))
    assert [job.attempt for job in oven.attempts] == [1, 2]
    assert oven.times[1] - oven.times[0] >= timedelta(seconds=0.9)
    assert await thing.effects() == [("a", 0)]


async def test_a_run_that_outlasts_its_lease_is_cut_off(thing: Things, oven: Oven, context: Context[Any]) -> None:
    oven.open.clear()
    await order(thing, "a")
    async with running(Worker(KIND, oven.work(lease=timedelta(milliseconds=500)), context)):
        await eventually(lambda: oven.has_tried(2))
        oven.open.set()
        await eventually(lambda: none_left(thing))
    assert await thing.effects() == [("a", 0)]


async def test_a_settlement_waits_out_a_passing_fault_without_a_second_run(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    class Unlucky(Oven):
        cuts = 2

        async def serve(self, done: Sequence[Done], tx: Tx) -> None:
            await super().serve(done, tx)
            if self.cuts:
                self.cuts -= 1
                await tx.raw.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    unlucky = Unlucky(thing)
    await order(thing, "a")
    async with running(Worker(KIND, unlucky.work(), context)):
        await eventually(lambda: none_left(thing))
    assert len(unlucky.attempts) == 1
    assert unlucky.cuts == 0
    assert await thing.effects() == [("a", 0)]


async def test_jobs_done_at_the_same_moment_are_settled_together_but_for_one_that_was_withdrawn(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    oven.open.clear()
    async with thing.database.transaction(Cause("the-correlation")) as tx:
        for key in "abcd":
            tx.schedule(KIND, key)
    async with running(Worker(KIND, oven.work(concurrency=5), context)):
        await eventually(lambda: oven.has_tried(4))
        await withdraw(thing, "c")
        oven.open.set()
        await eventually(lambda: none_left(thing))
        await eventually(lambda: served(thing, 3))
    assert sorted(await thing.effects()) == [("a", 0), ("b", 0), ("d", 0)]
    assert max(oven.served) > 1
    async with thing.database.transaction() as tx:
        events = await tx.raw.fetch("SELECT aggregateid, correlationid FROM outbox")
    assert sorted(map(tuple, events)) == [(key, "the-correlation") for key in "abd"]


async def test_no_more_run_at_once_than_is_allowed(thing: Things, oven: Oven, context: Context[Any]) -> None:
    oven.open.clear()
    for number in range(12):
        await order(thing, f"key-{number}")
    async with running(Worker(KIND, oven.work(concurrency=3), context)):
        await eventually(lambda: oven.has_tried(3))
        oven.open.set()
        await eventually(lambda: none_left(thing))
    assert oven.most == 3
    assert len(oven.attempts) == 12


async def test_two_workers_share_the_jobs_and_do_none_twice(thing: Things, oven: Oven, context: Context[Any]) -> None:
    async with thing.database.transaction() as tx:
        for number in range(100):
            tx.schedule(KIND, f"key-{number}")
    other = Oven(thing)
    async with running(Worker(KIND, oven.work(), context), Worker(KIND, other.work(), context)):
        await eventually(lambda: none_left(thing))
    assert set(Counter(job.key for job in oven.attempts + other.attempts).values()) == {1}
    assert len(await thing.effects()) == 100
    assert oven.attempts
    assert other.attempts


async def test_what_is_due_later_waits(thing: Things, oven: Oven, context: Context[Any]) -> None:
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    await order(thing, "later", due=due)
    await order(thing, "now")
    async with running(Worker(KIND, oven.work(), context)):
        await eventually(lambda: none_left(thing))
    assert [key for key, _ in await thing.effects()] == ["now", "later"]
    assert oven.times[1] >= due


async def test_a_job_scheduled_in_the_same_process_starts_at_once(
    thing: Things, oven: Oven, context: Context[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backbone.jobs.worker.POLL", 3600)
    worker = Worker(KIND, oven.work(), context)

    async def is_ready() -> bool:
        return worker.pulse.problem is None

    async with running(worker):
        await eventually(is_ready)
        await order(thing, "a")
        await eventually(lambda: none_left(thing), within=20)


async def test_stopping_lets_the_jobs_in_hand_end(thing: Things, oven: Oven, context: Context[Any]) -> None:
    oven.open.clear()
    await order(thing, "a")
    async with running(Worker(KIND, oven.work(), context)):
        await eventually(lambda: oven.has_tried(1))
        await order(thing, "a second one", due=datetime.now(UTC) + timedelta(hours=1))
        asyncio.get_running_loop().call_later(0.2, oven.open.set)
    assert await thing.effects() == [("a", 0)]


async def test_a_withdrawn_job_is_forgotten_and_one_of_the_same_name_can_follow(thing: Things) -> None:
    async with thing.database.transaction() as tx:
        tx.schedule(KIND, "a", {"number": 1})
        tx.withdraw(KIND, "a")
        tx.withdraw(KIND, "unknown")
    assert await none_left(thing)
    await order(thing, "a", {"number": 2})
    await order(thing, "a", {"number": 3})
    assert [job["data"] for job in await stored(thing)] == [{"number": 3}]


@asynccontextmanager
async def client_of(context: Context[Any], work: Work[Any]) -> AsyncIterator[httpx.AsyncClient]:
    service: Service[Any] = Service("things", Settings, APIRouter(), jobs={KIND: work})
    transport = httpx.ASGITransport(create_application(service, context))
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=by(SOMEBODY)) as client:
        yield client


async def park(thing: Things, *keys: str) -> None:
    for key in keys:
        await order(thing, key, {"customer": "Ada"})
    async with thing.database.transaction() as tx:
        await tx.raw.execute(
            "UPDATE jobs SET parked_at = now(), attempts = 9, first_attempt_at = now() - interval '1 day', error = 'no'"
        )


async def test_parked_jobs_are_listed_and_started_anew_over_http(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    await park(thing, "a", "b", "c")
    await order(thing, "waiting", due=datetime.now(UTC) + timedelta(hours=1))
    work = oven.work(replace(QUICK, attempts=2))
    async with client_of(context, work) as client, running(Worker(KIND, work, context)):
        first = (await client.get("/jobs", params={"state": "parked", "limit": 2})).json()
        rest = (await client.get("/jobs", params={"state": "parked", "after": first["next"]})).json()
        parked = first["items"] + rest["items"]
        assert [(job["kind"], job["key"], job["error"], job["attempts"]) for job in parked] == [
            (KIND, key, "no", 9) for key in "abc"
        ]
        assert "data" not in parked[0]
        assert [job["key"] for job in (await client.get("/jobs", params={"state": "waiting"})).json()["items"]] == [
            "waiting"
        ]
        assert len((await client.get("/jobs")).json()["items"]) == 4
        some = (await client.get("/jobs", params={"key": ["a", "waiting", "none"], "limit": 1})).json()
        others = (await client.get("/jobs", params={"key": ["a", "waiting"], "after": some["next"]})).json()
        assert [job["key"] for job in some["items"] + others["items"]] == ["a", "waiting"]
        assert (await client.post(f"/jobs/{parked[1]['id']}/retry")).status_code == 202
        await eventually(lambda: served(thing, 1))
        assert (await client.post(f"/jobs/{parked[1]['id']}/retry")).status_code == 404
    assert [job.key for job in oven.attempts] == ["b"]
    assert oven.attempts[0].attempt == 1


async def test_a_job_started_anew_does_not_fail_before_it_is_tried(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    await park(thing, "a")
    async with client_of(context, oven.work()) as client:
        [job] = (await client.get("/jobs")).json()["items"]
        assert (await client.post(f"/jobs/{job['id']}/retry")).status_code == 202
    assert await has_failing(thing, 0)
    assert [job["error"] for job in await stored(thing)] == [None]


async def test_a_waiting_job_is_done_before_its_time_and_no_other_is(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    await park(thing, "given up")
    await order(thing, "a", due=datetime(2099, 1, 1, tzinfo=UTC))
    await order(thing, "b", due=datetime(2099, 1, 1, tzinfo=UTC))
    work = oven.work()
    async with client_of(context, work) as client, running(Worker(KIND, work, context)):
        given_up, first, _ = (await client.get("/jobs")).json()["items"]
        oven.open.clear()
        assert (await client.post(f"/jobs/{first['id']}/run")).status_code == 202
        await eventually(lambda: oven.has_tried(1))
        [in_hand] = [job for job in (await client.get("/jobs")).json()["items"] if job["in_hand"]]
        assert in_hand["key"] == "a"
        assert (await client.post(f"/jobs/{first['id']}/run")).json()["title"] == "Job not waiting"
        oven.open.set()
        await eventually(lambda: served(thing, 1))
        assert (await client.post(f"/jobs/{given_up['id']}/run")).status_code == 409
        assert (await client.post(f"/jobs/{first['id']}/run")).status_code == 404
    assert [job.key for job in oven.attempts] == ["a"]


async def test_jobs_are_listed_by_their_kind_and_by_whether_they_are_due(
    thing: Things, oven: Oven, context: Context[Any]
) -> None:
    await order(thing, "due")
    await order(thing, "later", due=datetime(2099, 1, 1, tzinfo=UTC))
    async with thing.database.transaction() as tx:
        tx.schedule("wash", "due as well")
    async with client_of(context, oven.work()) as client:
        listed = (await client.get("/jobs", params={"state": "due", "kind": KIND})).json()["items"]
        assert [(job["key"], job["in_hand"]) for job in listed] == [("due", False)]
        assert [job["key"] for job in (await client.get("/jobs", params={"kind": "wash"})).json()["items"]] == [
            "due as well"
        ]
        assert [job["key"] for job in (await client.get("/jobs", params={"kind": "none"})).json()["items"]] == []


async def test_only_a_parked_job_can_be_started_anew(thing: Things, oven: Oven, context: Context[Any]) -> None:
    await order(thing, "waiting", due=datetime.now(UTC) + timedelta(hours=1))
    async with client_of(context, oven.work()) as client:
        [job] = (await client.get("/jobs")).json()["items"]
        refused = await client.post(f"/jobs/{job['id']}/retry")
        assert refused.status_code == 409
        assert refused.headers["content-type"] == "application/problem+json"
        assert (await client.post("/jobs/0/retry")).status_code == 404
        assert (await client.post("/jobs/99999999999999999999/retry")).status_code in (404, 422)
        assert (await client.get("/jobs", params={"state": "lost"})).status_code == 422
