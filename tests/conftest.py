"""Fixtures that all tests share: one Postgres and one Kafka for the run, and a database for whoever asks."""

import asyncio
from collections.abc import Callable, Iterator
from functools import cache
from uuid import uuid4

import asyncpg
import pytest

from backbone import migrations
from tests import servers

NewDatabase = Callable[[str], str]


def pytest_report_header() -> str:
    return f"servers: {servers.chosen()} (SLICELINE_TEST_SERVERS=docker|local chooses)"


@pytest.fixture(scope="session")
def all_servers() -> Iterator[servers.Servers]:
    with servers.running(servers.chosen()) as started:
        yield started


@pytest.fixture(scope="session")
def postgres(all_servers: servers.Servers) -> str:
    """The superuser's URL of a real Postgres."""
    return all_servers.postgres


@pytest.fixture(scope="session")
def kafka(all_servers: servers.Servers) -> str:
    """The bootstrap server of a real Kafka."""
    return all_servers.kafka


@pytest.fixture(scope="session")
def new_database(postgres: str) -> NewDatabase:
    """Gives the URL of a fresh, migrated database of a service: `new_database("orders")`."""

    @cache
    def template(service: str) -> str:
        name = f"template_{service}_{uuid4().hex[:8]}"
        _create_database(postgres, name, "template1")
        migrations.upgrade(service, _url(postgres, name))
        return name

    def create(service: str) -> str:
        name = f"{service}_{uuid4().hex[:8]}"
        _create_database(postgres, name, template(service))
        return _url(postgres, name)

    return create


def _url(postgres: str, name: str) -> str:
    return f"{postgres.rsplit('/', 1)[0]}/{name}"


def _create_database(postgres: str, name: str, template: str) -> None:
    async def create() -> None:
        connection = await asyncpg.connect(postgres)
        try:
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        finally:
            await connection.close()

    asyncio.run(create())
