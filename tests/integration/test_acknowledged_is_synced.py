"""What a single broker has acknowledged is on its disk: Linux tells how much of a file only memory has (cachestat)."""

import ctypes
import errno
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from backbone.events import buses
from backbone.events.topics import DEFAULT_BUS
from backbone.publishing import making
from deployment import migrate, topics
from local import kafka as local_kafka
from local.kafka import Kafka
from services import CATALOGUE

CACHESTAT = 451
DEFAULT = buses.find(DEFAULT_BUS)
"""The number of the system call (Linux 6.5), the same for all processors."""


class _Range(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("length", ctypes.c_uint64))


class _Stat(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("cached", "dirty", "writeback", "evicted", "recent"))


def unsynced_pages(file: Path) -> int:
    """How many pages of a file a power cut would take. Raises OSError where the kernel cannot tell."""
    whole, found = _Range(0, 0), _Stat()
    descriptor = os.open(file, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(CACHESTAT, descriptor, ctypes.byref(whole), ctypes.byref(found), 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)
    return int(found.dirty + found.writeback)


@pytest.fixture(autouse=True)
def told_by_the_kernel(tmp_path: Path) -> None:
    if not any(_tells(tmp_path / "probe") for _ in range(50)):
        pytest.skip(
            "Only Linux 6.5 and newer tells what of a file is not on the disk yet, and not of every file system."
        )


def _tells(probe: Path) -> bool:
    probe.write_bytes(b"x")
    try:
        return unsynced_pages(probe) > 0
    except OSError as error:
        if sys.platform != "linux" or error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return False
        raise


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker whose files can be looked at, wherever the other tests have theirs."""
    kafka = local_kafka.start(tmp_path_factory.mktemp("kafka"))
    yield kafka
    kafka.server.kill()


async def _unsynced_after(kafka: Kafka, topic: str, data: Path) -> int:
    """Have some records acknowledged, and count what of them only memory has."""
    producer = AIOKafkaProducer(**kafka.admin.client(), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        acknowledged = [await producer.send(topic, b"x" * 20_000, partition=0) for _ in range(5)]
        for each in acknowledged:
            await each
        return sum(unsynced_pages(file) for file in (data / f"{topic}-0").glob("*.log"))
    finally:
        await producer.stop()


async def _leaves_the_disk_to_the_kernel(kafka: Kafka, topic: str, data: Path) -> bool:
    """Whether records are acknowledged before they are on the disk; a busy kernel may be quicker than our look."""
    for _ in range(50):
        if await _unsynced_after(kafka, topic, data) > 0:
            return True
    return False


@asynccontextmanager
async def _admin(kafka: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**kafka.admin.client())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@pytest.fixture
def data(broker: Kafka) -> Path:
    return Path(broker.server.program.cwd) / "data"


@pytest.mark.parametrize("service", ["orders", "inventory"])
async def test_an_acknowledged_event_is_on_the_disk_of_a_single_broker(broker: Kafka, data: Path, service: str) -> None:
    await migrate.make_topics(broker.admin, 1, lambda _: None)
    assert await _unsynced_after(broker, f"{service}.events", data) == 0


async def test_a_topic_of_an_earlier_release_is_synced_after_migrating(
    broker: Kafka, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOGUE, "older", 8999)
    async with _admin(broker) as admin:
        await admin.create_topics([NewTopic("older.events", DEFAULT.partitions, 1)])
    assert await _leaves_the_disk_to_the_kernel(broker, "older.events", data)  # as Kafka itself does it
    await migrate.make_topics(broker.admin, 1, lambda _: None)
    assert await _unsynced_after(broker, "older.events", data) == 0


async def test_what_an_operator_has_set_for_a_topic_stays(broker: Kafka, data: Path) -> None:
    async with _admin(broker) as admin:
        await admin.create_topics([NewTopic("faster.events", 1, 1, topic_configs={"flush.messages": "1000000"})])
        await topics.bring_up_to_date(admin, {"faster.events": DEFAULT}, 1)
    assert await _leaves_the_disk_to_the_kernel(broker, "faster.events", data)


@pytest.mark.parametrize("replication", [1, 2, 3, 5])
def test_with_three_brokers_two_have_an_event_before_it_is_acknowledged(replication: int) -> None:
    told = making.settings(DEFAULT, replication)
    assert told.get("min.insync.replicas") == ("2" if replication >= 3 else None)
    assert ("flush.messages" in told) is (replication < 3)
