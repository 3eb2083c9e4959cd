"""Who may do what in Kafka: what the wiring says, and nothing else. Every answer is a broker's."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import JoinGroupRequest
from aiokafka.protocol.produce import ProduceRequest

from backbone.consuming.broker import survey
from backbone.consuming.handlers import topics_of
from backbone.events import buses
from backbone.events.topics import DEFAULT_BUS
from backbone.values.brokers import Brokers
from deployment import certificates, migrate
from deployment.admitting import admit, admit_guest
from deployment.catalogue import service_of
from deployment.doors import AUTHORITY, BROKER, CA, CERTIFICATE, OPERATOR, PASSWORD, Doors
from deployment.rights import Rights, Rule, every_right
from deployment.showing import is_shown, show_renewed
from deployment.topics import every_topic
from local import kafka as local_kafka
from local.kafka import Kafka
from services import CATALOGUE
from tests.integration.things import create_topic
from tests.waiting import eventually

PARTNER = "partner.acme.events"
TOPICS = sorted([*every_topic(CATALOGUE), PARTNER])
NEW = ["anything.events", "orders.events.dlq", "partner.new.events", "partners-2.events"]
NO_RECORDS = b""
"""What is refused for itself, once it was allowed."""
TOPIC_REFUSED, GROUP_REFUSED, CLUSTER_REFUSED = 29, 30, 31
INVALID_RECORD, INVALID_TIMEOUT = 87, 26


@pytest.fixture(scope="module")
def admitted(doors: Doors) -> Doors:
    """A broker with the topics and the users of a shop."""
    asyncio.run(_as_migrated(doors))
    return doors


async def _as_migrated(doors: Doors) -> None:
    await migrate.make_topics(doors.admin, 1, lambda _: None, doors)
    await create_topic(doors.admin, PARTNER, 3)


@asynccontextmanager
async def connected(brokers: Brokers) -> AsyncIterator[AIOKafkaClient]:
    client = AIOKafkaClient(**brokers.client(), request_timeout_ms=10_000)
    try:
        await client.bootstrap()
        yield client
    finally:
        await client.close()


async def ask(client: AIOKafkaClient, request: Any) -> Any:
    return await client.send(client.get_random_node(), request)


async def may_write(client: AIOKafkaClient) -> set[str]:
    """The topics that a broker would let this client write to; nothing is written."""
    answer = await ask(client, ProduceRequest(None, -1, 1000, [(topic, [(0, NO_RECORDS)]) for topic in TOPICS]))
    codes = {topic: code for topic, [(_, code, *_)] in answer.topics}
    assert set(codes.values()) <= {TOPIC_REFUSED, INVALID_RECORD}
    return {topic for topic, code in codes.items() if code != TOPIC_REFUSED}


async def may_read(client: AIOKafkaClient) -> set[str]:
    answer = await ask(client, FetchRequest(0, 0, 1000, 0, [(topic, [(0, 0, 1000)]) for topic in TOPICS]))
    codes = {topic: code for topic, [(_, code, *_)] in answer.topics}
    assert set(codes.values()) <= {TOPIC_REFUSED, 0}
    return {topic for topic, code in codes.items() if code != TOPIC_REFUSED}


async def may_join(client: AIOKafkaClient) -> set[str]:
    """The groups that a broker would let this client into; it asks for a session too short to be one."""
    found = set()
    for group in CATALOGUE:
        answer = await ask(client, JoinGroupRequest(group, 1, 1, "", "", "consumer", [("range", b"")]))
        assert answer.error_code in (GROUP_REFUSED, INVALID_TIMEOUT)
        if answer.error_code != GROUP_REFUSED:
            found.add(group)
    return found


async def may_make(brokers: Brokers) -> set[str]:
    admin = AIOKafkaAdminClient(**brokers.client(), request_timeout_ms=10_000)
    await admin.start()
    try:
        answer: Any = await admin.create_topics([NewTopic(name, 1, 1) for name in NEW], validate_only=True)
    finally:
        await admin.close()
    codes = {topic: code for topic, code, *_ in answer.topic_errors}
    assert set(codes.values()) <= {TOPIC_REFUSED, CLUSTER_REFUSED, 0}
    return {topic for topic, code in codes.items() if not code}


def declared(name: str) -> tuple[set[str], set[str], set[str], set[str]]:
    """What a service writes, reads, joins and makes, from its wiring and buses.toml."""
    service = service_of(name)
    publishes = {topic for topic in TOPICS if service.publishes and _lets_publish(name, topic)}
    reads = {topic for topic in TOPICS if buses.reads(topics_of(service.handlers), topic)}
    makes = {"partner.new.events"} if name == "partners" else set()
    return publishes, reads, {name} if service.handlers else set(), makes


def _lets_publish(service: str, topic: str) -> bool:
    bus = buses.bus_of(topic)
    assert bus is not None
    return bus.lets_publish(service) and (bus.name != DEFAULT_BUS or topic == bus.topic(service))


@pytest.mark.parametrize("name", CATALOGUE)
async def test_a_service_may_do_what_is_declared_with_each_topic_and_group_and_no_more(
    admitted: Doors, name: str
) -> None:
    brokers = admitted.user(name)
    async with connected(brokers) as client:
        answers = await may_write(client), await may_read(client), await may_join(client)
    assert (*answers, await may_make(brokers)) == declared(name)


async def test_the_operator_reads_every_topic_and_does_nothing_else(admitted: Doors) -> None:
    brokers = admitted.user(OPERATOR)
    async with connected(brokers) as client:
        answers = await may_write(client), await may_read(client), await may_join(client)
    assert (*answers, await may_make(brokers)) == (set(), set(TOPICS), set(), set())


async def _is_refused(brokers: Brokers) -> str:
    with pytest.raises(KafkaConnectionError) as refused:
        async with connected(brokers):
            pass
    return str(refused.value)


async def test_nobody_comes_in_without_a_name_or_with_a_wrong_one(
    admitted: Doors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    orders, alerts = admitted.user("orders"), admitted.user("alerts")
    assert orders.password_file is not None
    wrong = tmp_path / "wrong"
    wrong.write_text("a-wrong-password")
    caplog.set_level(logging.DEBUG)
    said = [
        await _is_refused(Brokers(orders.bootstrap)),
        await _is_refused(replace(orders, user=None)),
        await _is_refused(replace(orders, user="nobody")),
        await _is_refused(replace(orders, password_file=wrong)),
        await _is_refused(replace(orders, password_file=alerts.password_file)),
        await _is_refused(replace(orders, bootstrap=admitted.admins)),
        await _is_refused(replace(admitted.admin, certificate_file=None)),
    ]
    told = "\n".join([*said, caplog.text, repr(orders)])
    assert "a-wrong-password" not in told
    assert orders.password_file.read_text().strip() not in told
    async with connected(orders):
        pass


async def test_a_server_that_our_authority_does_not_vouch_for_is_told_nothing(admitted: Doors, tmp_path: Path) -> None:
    certificates.renew(tmp_path)
    await _is_refused(replace(admitted.user("orders"), ca_file=tmp_path / AUTHORITY / CA))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker whose files can be looked at, with a certificate that is due for renewal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates, "LIVES", timedelta(days=100))
        kafka = local_kafka.start(tmp_path_factory.mktemp("own") / "kafka")
    asyncio.run(migrate.make_topics(kafka.admin, 1, lambda _: None, kafka.closed))
    yield kafka
    kafka.server.kill()


async def test_no_password_stands_in_an_argument_list_or_in_what_a_broker_is_told_and_says(own: Kafka) -> None:
    keys = own.closed.keys
    await _is_refused(replace(own.closed.user("orders"), user="alerts"))
    passwords = [file.read_text().strip() for file in keys.rglob(PASSWORD)]
    assert len(set(passwords)) == len(CATALOGUE) + 1
    shown = [(keys.parent / name).read_text() for name in ("server.log", "server.properties")]
    shown += [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    assert [each for each in shown if any(password in each for password in passwords)] == []
    secrets = [file for file in keys.rglob("*") if file.name in (PASSWORD, CERTIFICATE)]
    assert {file.stat().st_mode & 0o777 for file in secrets} == {0o600}


async def test_a_broker_takes_a_renewed_certificate_and_loses_no_event_nor_a_connection(own: Kafka) -> None:
    doors, orders = own.closed, own.closed.user("orders")
    file = doors.keys / BROKER / CERTIFICATE
    old, sent = file.read_bytes(), 0
    producer = AIOKafkaProducer(**orders.client(), acks="all", enable_idempotence=True)
    await producer.start()

    async def send(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            await producer.send_and_wait("orders.events", b"%d" % sent, partition=0)
            sent += 1

    await send(10)
    certificates.renew(doors.keys)
    assert file.read_bytes() != old
    sending = asyncio.create_task(send(200))
    await show_renewed(doors)
    await sending
    await eventually(lambda: is_shown(doors))  # to whoever comes from now on
    await show_renewed(doors)  # and has nothing to do
    await producer.stop()
    await asyncio.to_thread(own.server.kill)
    again = await asyncio.to_thread(local_kafka.start, doors.keys.parent, own.ports)
    try:
        async with connected(again.closed.user("payments")) as client:
            assert await _end(client, "orders.events") == sent == 210
    finally:
        again.server.kill()


async def _end(client: AIOKafkaClient, topic: str) -> int:
    _, logs = await survey(client, [topic])
    return logs[topic, 0].end


async def test_rights_that_are_declared_no_more_are_taken_away(doors: Doors) -> None:
    admin, kept = doors.admin, every_right(CATALOGUE)
    await create_topic(admin, "before.events", 1)
    former = {**kept, "former": Rights(writes=("before.events",), group="former")}
    await admit(doors, former)
    async with connected(doors.user("former")):
        pass
    await admit(doors, kept)
    await _is_refused(doors.user("former"))


async def test_a_guest_stays_when_the_shop_migrates(doors: Doors) -> None:
    await admit_guest(doors, "guest-of-mine", [Rule("guest-of-mine", "topic", "orders.events", "read")])
    await admit(doors, every_right(CATALOGUE))
    async with connected(doors.user("guest-of-mine")) as client:
        assert "orders.events" in await may_read(client)


async def test_a_new_password_takes_the_place_of_the_old_one_and_cuts_nobody_off(
    admitted: Doors, tmp_path: Path
) -> None:
    orders = admitted.user("orders")
    assert orders.password_file is not None
    shutil.copy(orders.password_file, tmp_path / "old")
    async with connected(orders) as client:
        assert await may_write(client) == {"orders.events", "audit.events"}
        orders.password_file.unlink()
        await admit(admitted, every_right(CATALOGUE))
        async with connected(orders):
            await _is_refused(replace(orders, password_file=tmp_path / "old"))
        assert await may_write(client) == {"orders.events", "audit.events"}
