"""Kafka and Postgres die and come back, on servers of this file's own: what was accepted is kept and completed."""

from collections.abc import Iterator

import pytest

from tests import processes
from tests.faults.customers import PATIENCE, Customers
from tests.faults.world import Servers
from tests.journal import Journal
from tests.system import Shop
from tests.waiting import eventually


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    started = Servers.begin(tmp_path_factory.mktemp("servers"), None)
    yield started
    started.end()


@pytest.fixture(scope="module")
def system(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[processes.System]:
    """In the place of the system that all other tests share."""
    logs = tmp_path_factory.mktemp("own-system")
    with processes.running(servers.postgres.url, servers.kafka.closed, logs) as started:
        yield started


@pytest.fixture(scope="module")
def journal(servers: Servers) -> Journal:
    return Journal(servers.kafka.admin)


@pytest.mark.long
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


@pytest.mark.long
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
