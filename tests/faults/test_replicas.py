"""Replicas join and leave while there is work."""

import asyncio

import pytest

from tests.faults.customers import Customers, end_leases
from tests.system import Shop


@pytest.mark.long
@pytest.mark.parametrize("service", ["inventory", "payments"])
async def test_replicas_that_come_and_go_share_the_work(shop: Shop, service: str) -> None:
    await shop.system.robot()
    customers = Customers(shop)
    placing = [customers.ordering(20)]
    first, second = await asyncio.gather(shop.system.replica(service), shop.system.replica(service))
    placing.append(customers.ordering(20))
    assert await first.stop() == 0
    placing.append(customers.ordering(20))
    await second.kill()
    await end_leases(shop, [service])
    await asyncio.gather(*placing)
    await customers.order(5)
    await customers.are_served()
