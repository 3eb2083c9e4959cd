"""A stop in the middle of jobs: what was done is recorded, what was not is given back, nothing is done twice."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from backbone.context import Context
from backbone.ids import new_id
from backbone.jobs import worker
from backbone.jobs.worker import Worker
from local.ports import free_port
from sandbox.mail import Inbox, smtp_server
from services.notifications import jobs as mailing
from services.notifications.service import SERVICE as NOTIFICATIONS
from services.notifications.settings import Settings
from services.payments.service import SERVICE as PAYMENTS
from tests.conftest import NewDatabase
from tests.integration import test_payments
from tests.integration.one_service import Fed, fed
from tests.integration.service_process import NOWHERE, process_of
from tests.integration.test_notifications import confirmed
from tests.integration.test_payments import Desk, another, retell, until_called
from tests.waiting import eventually

MAILS = 16
sandbox_url, desk = test_payments.sandbox_url, test_payments.desk  # fixtures


class Slow(Inbox):
    """A mail server that takes its time for every mail, and for some steps longer than anybody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.3
        self.stalls_at = MAILS + 1
        self.met = 0
        self.in_hand = ""
        self.taken: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.met += 1
        assert isinstance(envelope.content, bytes)
        self.in_hand = message_from_bytes(envelope.content)["Message-ID"].strip("<>")
        if self.met == self.stalls_at:
            await asyncio.Event().wait()  # until the client hangs up
        await asyncio.sleep(self.seconds)
        answer = await super().handle_DATA(server, session, envelope)
        self.taken.append(self.newest(0, 1)[0].message_id)
        return answer

    async def has_taken(self, count: int) -> bool:
        return len(self.taken) >= count

    async def has_met(self, count: int) -> bool:
        return self.met >= count


class PostOffice:
    """The service's database with mails to send, and the mail server."""

    def __init__(self, url: str, service: Fed) -> None:
        self.url = url
        self.service = service
        self.inbox = Slow()
        self.port = free_port()

    async def queue(self) -> None:
        await self.service.feed(*(confirmed(new_id()) for _ in range(MAILS)))

    async def left(self) -> list[Any]:
        return list(await self.service.database.fetch("SELECT *, due <= now() AS is_due FROM jobs ORDER BY id"))

    async def is_done(self) -> bool:
        return not await self.left()

    def process(self) -> tuple[Worker, Context[Settings]]:
        context = Context(Settings(database_url="postgresql://unused", smtp_port=self.port), self.service.database)
        return Worker("send", NOTIFICATIONS.jobs["send"], context), context

    @asynccontextmanager
    async def stopped_after(self) -> AsyncIterator[None]:
        """A process works during the block, is told to stop, and ends by itself."""
        worker, context = self.process()
        task = asyncio.create_task(worker.run())
        yield
        context.stopping.set()
        worker.stop()
        async with asyncio.timeout(8):
            await task

    async def finish(self) -> None:
        async with self.stopped_after():
            await eventually(self.is_done)


@pytest.fixture
async def office(new_database: NewDatabase) -> AsyncIterator[PostOffice]:
    url = await asyncio.to_thread(new_database, "notifications")
    async with fed(NOTIFICATIONS, lambda _: url) as service:
        office = PostOffice(url, service)
        async with smtp_server(office.inbox, "127.0.0.1", office.port):
            yield office


async def test_a_stop_in_the_middle_of_mailing_sends_no_mail_twice(office: PostOffice) -> None:
    await office.queue()
    async with office.stopped_after():
        await eventually(lambda: office.inbox.has_taken(4))
    left = await office.left()
    assert len(left) == MAILS - len(office.inbox.taken)
    assert {(job["is_due"], job["attempts"], job["lease"]) for job in left} == {(True, 0, None)}
    office.inbox.seconds = 0
    await office.finish()
    assert Counter(office.inbox.taken) == dict.fromkeys(office.inbox.taken, 1)
    assert len(office.inbox.taken) == MAILS


async def test_a_process_that_is_told_to_stop_in_the_middle_of_mailing_sends_no_mail_twice(
    office: PostOffice, tmp_path: Path
) -> None:
    await office.queue()
    given = {"database_url": office.url, "kafka": NOWHERE, "smtp_port": str(office.port), "roles": "jobs"}
    module = "services.notifications.service"
    async with process_of(module, tmp_path / "first.log", **given) as first:
        await eventually(lambda: office.inbox.has_taken(4))
        assert await first.stop() == 0
        assert 4 <= len(office.inbox.taken) < MAILS
    office.inbox.seconds = 0
    async with process_of(module, tmp_path / "second.log", **given):
        await eventually(office.is_done)
    assert Counter(office.inbox.taken) == dict.fromkeys(office.inbox.taken, 1)
    assert len(office.inbox.taken) == MAILS


async def test_a_mail_that_stalls_at_the_stop_keeps_those_before_it_from_nothing(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailing, "LAST_SECONDS", 0.3)
    office.inbox.seconds, office.inbox.stalls_at = 0, 5
    await office.queue()
    async with office.stopped_after():
        await eventually(lambda: office.inbox.has_met(5))
    left = await office.left()
    assert len(left) == MAILS - 4
    unsure, *given_back = sorted(left, key=lambda job: job["attempts"], reverse=True)
    assert (unsure["attempts"], unsure["is_due"]) == (1, False)  # nobody knows: it keeps its lease
    assert {(job["is_due"], job["attempts"]) for job in given_back} == {(True, 0)}


async def test_a_mail_server_that_cannot_be_reached_at_the_stop_costs_no_mail_an_attempt(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailing, "LAST_SECONDS", 0.3)
    reached = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()  # until the client hangs up
        writer.close()

    office.port = free_port()
    await office.queue()
    async with await asyncio.start_server(say_nothing, "127.0.0.1", office.port), office.stopped_after():
        await reached.wait()
    assert {(job["is_due"], job["attempts"]) for job in await office.left()} == {(True, 0)}


async def test_mails_of_a_job_that_is_another_runs_by_now_are_not_handed_over(office: PostOffice) -> None:
    """The process was frozen until its leases had ended, say."""
    await office.queue()
    async with office.stopped_after():
        await eventually(lambda: office.inbox.has_taken(2))
        await office.service.database.fetch("UPDATE jobs SET lease = gen_random_uuid(), due = now() + interval '1 min'")
        taken = len(office.inbox.taken)
        await asyncio.sleep(1)  # more than three mails would take
    assert len(office.inbox.taken) <= taken + 1  # the one in hand


async def test_a_mail_in_hand_has_its_job_to_itself_until_it_is_settled(office: PostOffice) -> None:
    """However little was left of the lease when its turn came."""
    await office.queue()
    async with office.stopped_after():
        await eventually(lambda: office.inbox.has_met(1))
        first = office.inbox.in_hand  # it keeps its lease: cut short it would be due, and rightly sent again
        hurry = "UPDATE jobs SET due = now() + interval '1 s' WHERE key || '@sliceline.example' <> $1 RETURNING id"
        assert len(await office.service.database.fetch(hurry, first)) == MAILS - 1
        await eventually(lambda: office.inbox.has_met(2))
        left = "SELECT due - now() FROM jobs WHERE key || '@sliceline.example' = $1"
        [(second,)] = await office.service.database.fetch(left, office.inbox.in_hand)
        assert second.total_seconds() > 20
        office.inbox.seconds = 0
        await eventually(office.is_done)
    assert Counter(office.inbox.taken) == dict.fromkeys(office.inbox.taken, 1)


async def payment_jobs(desk: Desk) -> list[Any]:
    return list(await desk.payments.database.fetch("SELECT *, due <= now() AS is_due FROM jobs ORDER BY id"))


@asynccontextmanager
async def charging(desk: Desk, *others: Context[Any]) -> AsyncIterator[None]:
    """Processes work during the block, are told to stop, and end by themselves."""
    contexts = (desk.context, *others)
    workers = [Worker("charge", PAYMENTS.jobs["charge"], each) for each in contexts]
    tasks = [asyncio.create_task(each.run()) for each in workers]
    yield
    for context in contexts:
        context.stopping.set()
    for each in workers:
        each.stop()
    async with asyncio.timeout(8):
        await asyncio.gather(*tasks)


async def test_charges_that_wait_for_their_slot_at_the_stop_are_given_back(desk: Desk) -> None:
    retell(desk, provider_rate=2.0)
    await desk.place(*(new_id() for _ in range(10)))
    async with charging(desk):
        await until_called(desk, 1)
        stopped = time.monotonic()
    assert time.monotonic() - stopped < 2
    left = await payment_jobs(desk)
    assert len(left) == 10 - (await desk.stats())["charged"]
    assert {(job["is_due"], job["attempts"], job["first_attempt_at"]) for job in left} == {(True, 0, None)}


async def test_charges_in_flight_at_the_stop_are_recorded(desk: Desk) -> None:
    await desk.mood(slow_seconds=1.5)
    orders = [new_id() for _ in range(5)]
    await desk.place(*orders)
    async with another(desk) as replica, charging(desk, replica):
        await until_called(desk, 5)
    assert not await payment_jobs(desk)
    assert [await desk.ledger(order) for order in orders] == [["charge"]] * 5
    assert {(await desk.view(order))["status"] for order in orders} == {"received"}


async def test_a_charge_that_outlasts_the_stop_keeps_its_lease(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what came of it: it is neither recorded nor given back, and asked for when its lease ends."""
    monkeypatch.setattr(worker, "GRACE", 0.3)
    await desk.mood(slow_seconds=1.5)
    order = await desk.place()
    async with charging(desk):
        await until_called(desk, 1)
    [job] = await payment_jobs(desk)
    assert (job["is_due"], job["attempts"], job["error"]) == (False, 1, None)
    await desk.payments.database.fetch("UPDATE jobs SET due = now()")
    desk.context.stopping.clear()
    async with charging(desk):
        await desk.until(order, "received")
    assert await desk.ledger(order) == ["charge"]
