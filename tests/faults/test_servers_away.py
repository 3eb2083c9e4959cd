"""Kafka and Postgres die and come back, on servers of this file's own: what was accepted is kept and completed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local import kafka, postgres
from local.program import NotReady
from tests import processes
from tests.faults.customers import PATIENCE, Customers
from tests.journal import Journal
from tests.system import Shop
from tests.waiting import eventually


@dataclass
class Servers:
    """Both servers, each of which can be killed and started again where it was."""

    directory: Path
    postgres: postgres.Postgres
    kafka: kafka.Kafka

    def start_kafka(self) -> None:
        self.kafka = kafka.start(self.directory / "kafka", int(self.kafka.bootstrap.rsplit(":", 1)[1]))

    def start_postgres(self) -> None:
        """Its sessions outlive a killed server for a moment, and until then it refuses to start."""
        port = self.postgres.server.program.port
        for _ in range(20):
            try:
                self.postgres = postgres.start(self.directory / "postgres", port)
            except NotReady as error:
                refusal = error
            else:
                return
        raise refusal

    def end(self) -> None:
        self.kafka.server.kill()
        self.postgres.server.kill()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    directory = tmp_path_factory.mktemp("servers")
    started = Servers(directory, postgres.start(directory / "postgres"), kafka.start(directory / "kafka"))
    yield started
    started.end()


@pytest.fixture(scope="module")
def system(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[processes.System]:
    """In the place of the system that all other tests share."""
    logs = tmp_path_factory.mktemp("own-system")
    with processes.running(servers.postgres.url, servers.kafka.bootstrap, logs) as started:
        yield started


@pytest.fixture(scope="module")
def journal(servers: Servers) -> Journal:
    return Journal(servers.kafka.bootstrap)


async def test_orders_are_accepted_while_kafka_is_away_and_completed_when_it_is_back(
    shop: Shop, servers: Servers
) -> None:
    await shop.system.robot()
    customers = Customers(shop)
    await customers.order(10)
    servers.kafka.server.kill()
    await customers.order(10)
    await eventually(lambda: _is_missed(shop, "orders"), PATIENCE, what="orders misses Kafka")
    await customers.order(5)
    servers.start_kafka()
    await customers.order(5)
    await customers.are_served()


async def test_no_accepted_order_is_lost_when_postgres_is_killed_under_load(shop: Shop, servers: Servers) -> None:
    await shop.system.robot()
    customers = Customers(shop)
    placing = [customers.ordering(10)]
    await eventually(lambda: _some(customers), PATIENCE, what="somebody was accepted")
    servers.postgres.server.kill()
    placing.append(customers.ordering(10))
    await eventually(lambda: _is_missed(shop, "orders"), PATIENCE, what="orders misses Postgres")
    servers.start_postgres()
    for task in placing:
        await task
    await customers.order(5)
    await customers.are_served(mails_may_repeat=True)


async def _is_missed(shop: Shop, service: str) -> bool:
    return (await shop.http.get(shop.url(service, "/health/ready"))).status_code == 503


async def _some(customers: Customers) -> bool:
    return bool(customers.accepted)
