"""The real servers that tests run against: their own, on free ports, gone when the tests end.

Containers (testcontainers) when a Docker engine answers, the same servers started locally otherwise.
SLICELINE_TEST_SERVERS=docker|local chooses.
"""

import asyncio
import gc
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shutil import disk_usage
from typing import TypeVar

from docker.client import DockerClient
from docker.errors import DockerException
from psutil import virtual_memory
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer

from deployment import certificates
from deployment.admitting import admit_guest
from deployment.doors import BROKER, GUEST, Doors
from deployment.rights import Rule
from local import kafka as local_kafka
from local import postgres as local_postgres
from local.ports import free_port
from local.probes import kafka as kafka_answers
from tests.waiting import wait_until

POSTGRES_IMAGE = "postgres:17"
KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_DATA = "/var/lib/postgresql/data"
KAFKA_DATA = "/tmp/data"  # noqa: S108  in its container; one that the image has would stay closed to who is not root
C = TypeVar("C", bound=DockerContainer)
TESTS = f"{GUEST}tests"
"""The user that tests are: one who may do everything, over the same lines and by the same means as a service."""
EVERYTHING = [
    Rule(TESTS, "topic", "*", "all"),
    Rule(TESTS, "group", "*", "all"),
    Rule(TESTS, "transactional_id", "*", "all"),
    Rule(TESTS, "cluster", "kafka-cluster", "all"),
]
# The tests compare the server's behaviour, not its disk: a crash of the whole machine ends the tests anyway.
POSTGRES_SETTINGS = {
    "fsync": "off",
    "max_connections": "300",
    "track_commit_timestamp": "on",
    "max_wal_size": "256MB",  # a gigabyte otherwise, for each process that runs tests
    # In its folder, which goes with it: what is elsewhere a server that is killed leaves in memory for good.
    "dynamic_shared_memory_type": "mmap",
}
MEMORY = Path("/dev/shm")  # noqa: S108  a folder with a name of its own is made in it
ROOM = 6 * 2**30
"""Bytes of memory that servers may fill, all together. Tests make some thousand databases, of 300 files each."""


def chosen() -> str:
    """`docker` or `local`, as asked for or as the machine can."""
    asked = os.environ.get("SLICELINE_TEST_SERVERS")
    if asked in ("docker", "local"):
        return asked
    if asked:
        raise ValueError(f"SLICELINE_TEST_SERVERS is {asked!r}; it takes docker or local")
    return "docker" if _docker_answers() else "local"


def _docker_answers() -> bool:
    with suppress(DockerException):
        DockerClient.from_env(timeout=5).close()
        return True
    # Where nobody listens, docker-py leaves its socket to the garbage collector, which would complain of it in the
    # middle of whatever test comes first.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return False


@contextmanager
def postgres(kind: str) -> Iterator[str]:
    """One server of that kind, for as long as the block lasts; its superuser's URL."""
    if kind == "docker":
        told = " ".join(f"-c {name}={value}" for name, value in POSTGRES_SETTINGS.items())
        container = PostgresContainer(POSTGRES_IMAGE, driver=None).with_command(told)
        with _in_memory(container, POSTGRES_DATA):
            yield container.get_connection_url().replace("localhost", "127.0.0.1")
        return
    with _folder() as directory:
        settings = {**local_postgres.SETTINGS, **POSTGRES_SETTINGS}
        started = local_postgres.start(directory / "postgres", settings=settings)
        try:
            yield started.url
        finally:
            started.server.kill()  # its data goes anyway, and a clean stop takes seconds


@contextmanager
def kafka(kind: str) -> Iterator[Doors]:
    """One broker of that kind, for as long as the block lasts, into which the tests come as a guest."""
    with _folder() as directory, _kafka_in(kind, directory) as doors:
        asyncio.run(admit_guest(doors, TESTS, EVERYTHING))
        yield doors


@contextmanager
def _kafka_in(kind: str, directory: Path) -> Iterator[Doors]:
    if kind == "docker":
        doors = Doors(directory, *(f"127.0.0.1:{free_port()}" for _ in range(2)))
        certificates.renew(directory)
        with _kafka_container(doors):
            _wait_for_kafka(_port(doors.bootstrap))
            yield doors
        return
    started = local_kafka.start(directory / "kafka")
    try:
        yield started.closed
    finally:
        started.server.kill()


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder for a server, in memory where that has room: a database is made there in a tenth of the time."""
    where = MEMORY if MEMORY.is_dir() and min(disk_usage(MEMORY).free, virtual_memory().available) > ROOM else None
    with tempfile.TemporaryDirectory(prefix="sliceline-tests-", dir=where) as directory:
        yield Path(directory)


def _in_memory(container: C, path: str) -> C:
    """Have a container keep its data in memory as well, where its engine has some."""
    with closing(DockerClient.from_env()) as engine:
        has_room = engine.info()["MemTotal"] > 2 * ROOM
    return container.with_tmpfs_mount(path) if has_room else container


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _kafka_container(doors: Doors) -> DockerContainer:
    """Apache's image: the ports are chosen beforehand, because the broker must advertise them."""
    own, (users, admins) = doors.keys / BROKER, map(_port, (doors.bootstrap, doors.admins))
    for file in own.iterdir():
        file.chmod(0o644)  # it belongs to another user there
    closed = {variable(name): value for name, value in local_kafka.closed(Path("/keys")).items()}
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        **closed,
        "KAFKA_LISTENERS": f"USERS://:{users},ADMINS://:{admins},CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"USERS://{doors.bootstrap},ADMINS://{doors.admins}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE": "LogAppendTime",
        "KAFKA_LOG_DIRS": KAFKA_DATA,
        # As locally: these brokers live for minutes, and compiling them for years takes a third of their CPU time.
        "KAFKA_OPTS": "-XX:TieredStopAtLevel=1 -Dkeystore.pkcs12.keyPbeIterationCount=1",
    }
    container = DockerContainer(KAFKA_IMAGE).with_envs(**settings).with_volume_mapping(str(own), "/keys", "ro")
    return _in_memory(container.with_bind_ports(users, users).with_bind_ports(admins, admins), KAFKA_DATA)


def variable(setting: str) -> str:
    """Name the variable by which Apache's image is told a setting."""
    return f"KAFKA_{setting.replace('_', '__').replace('-', '___').replace('.', '_').upper()}"


def _wait_for_kafka(port: int) -> None:
    wait_until(lambda: kafka_answers(port), what=f"Kafka answers on port {port}", every=0.1)
