"""What integration tests share: the throw-away service of the backbone's tests, and an empty database."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from backbone.consuming.consumer import Consumer
from backbone.events import contracts
from backbone.values.brokers import Brokers
from deployment.doors import Doors
from deployment.topics import every_topic
from services import CATALOGUE
from tests import servers
from tests.conftest import NewDatabase
from tests.integration.things import Things, create_topic, things
from tests.issuing import believed


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """The library's own tracebacks, with all local variables, take a second each."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, renderer])


@pytest.fixture(scope="session", autouse=True)
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nobody is let in without a token; those with which the tests come are believed."""
    with believed(tmp_path_factory.mktemp("issuer")):
        yield


@pytest.fixture(scope="session")
def doors() -> Iterator[Doors]:
    """A broker beside the whole system's: some tests run one real service, which would join the system's group."""
    with servers.kafka(servers.chosen()) as doors:
        yield doors


@pytest.fixture(scope="session")
def kafka(doors: Doors) -> Brokers:
    """The same broker, as tests see it."""
    return doors.user(servers.TESTS)


@pytest.fixture
async def thing(
    new_database: NewDatabase, kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Things]:
    monkeypatch.setattr(contracts, "SCHEMAS", tmp_path)
    url = await asyncio.to_thread(new_database, "orders")
    async with things(url, kafka, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def exporter() -> InMemorySpanExporter:
    """What keeps the spans of this process: for the whole run, because a process can have one provider only."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
async def orders_topic(kafka: Brokers) -> None:
    """Where orders publishes, and all others: a service is not ready while a topic of its own is missing."""
    for topic, bus in every_topic(CATALOGUE).items():
        await create_topic(kafka, topic, bus.partitions)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The clients that consumers have had, one for each session with Kafka."""
    clients: list[object] = []
    new_client = Consumer._new_client

    def counted(self: Consumer) -> Any:
        clients.append(client := new_client(self))
        return client

    monkeypatch.setattr(Consumer, "_new_client", counted)
    return clients


@pytest.fixture
async def empty_database(postgres: str) -> AsyncIterator[str]:
    """The URL of a database without tables, for what makes its own."""
    name = f"empty_{uuid4().hex[:8]}"
    await _execute(postgres, f'CREATE DATABASE "{name}"')
    yield f"{postgres.rsplit('/', 1)[0]}/{name}"
    await _execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
