"""One service is stopped while orders come in, and started again: it catches up, and nothing is lost or done twice."""

import pytest

from services import CATALOGUE
from tests.faults.customers import Customers
from tests.processes import BESIDE
from tests.system import Shop

ALWAYS = "orders"
"""Stopped in every run; the others where there is time for all."""


@pytest.mark.beside(*BESIDE)
@pytest.mark.parametrize(
    "service", [pytest.param(name, marks=() if name == ALWAYS else pytest.mark.long) for name in CATALOGUE]
)
async def test_a_service_that_was_stopped_catches_up(shop: Shop, service: str) -> None:
    await shop.system.robot()
    customers = Customers(shop)
    before = customers.ordering(10)
    assert await shop.system[service].stop() == 0
    meanwhile = customers.ordering(12)
    if service != "orders":
        await before
        await meanwhile

    await shop.system[service].start()
    await before
    await meanwhile
    await customers.order(3)
    await customers.are_served()
