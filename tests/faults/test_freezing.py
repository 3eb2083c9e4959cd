"""A frozen process is taken for dead; when it thaws it finds that it is, and does nothing that was done meanwhile."""

import asyncio
import time

import psutil
import pytest

from tests.faults.customers import PATIENCE, Customers, end_leases, place_surely
from tests.processes import Process
from tests.system import ENDS, Shop
from tests.waiting import eventually

# The relay that holds the lock, has taken rows out of the outbox and is busy with Kafka.
RELAY_AT_WORK = """
SELECT client_port FROM pg_stat_activity JOIN pg_locks USING (pid)
WHERE datname = current_database() AND state = 'idle in transaction' AND backend_xid IS NOT NULL
  AND locktype = 'advisory' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_a_frozen_consumer_and_a_frozen_job_are_taken_over_and_the_thawed_one_is_fenced(shop: Shop) -> None:
    await shop.moods(timeout_after_charging=True, hang_seconds=60)
    in_hand = await place_surely(shop, {"water": 1})
    await eventually(lambda: shop.ledger(in_hand), PATIENCE, what="the charge")
    zombie = shop.system["payments"]
    zombie.freeze()
    await shop.moods()
    await end_leases(shop, ["payments"])

    await shop.system.robot()
    customers = Customers(shop)
    await customers.order(15)
    await shop.system.replica("payments")
    await shop.wait_for_statuses([in_hand, *customers.accepted], *ENDS, within=PATIENCE)

    zombie.thaw()
    await customers.order(10)
    await zombie.until_ready()
    await customers.are_served()
    assert [entry["kind"] for entry in await shop.ledger(in_hand)] == ["charge"]


@pytest.mark.long
async def test_a_relay_frozen_inside_its_transaction_gives_way_to_the_one_that_stands_by(shop: Shop) -> None:
    await shop.system.robot()
    await shop.system.replica("inventory")
    zombie = shop.system["inventory"]
    customers = Customers(shop)
    await _freeze_inside_the_relays_transaction(shop, zombie, customers)

    await customers.order(15)
    await shop.wait_for_statuses(customers.accepted, *ENDS, within=PATIENCE)

    zombie.thaw()
    await customers.order(10)
    await zombie.until_ready()
    await customers.are_served()


async def _freeze_inside_the_relays_transaction(shop: Shop, process: Process, customers: Customers) -> None:
    """Freeze it, look whether it was caught there, and thaw it if it was not."""
    placing = customers.ordering(3)
    deadline = time.monotonic() + PATIENCE
    while not await _is_frozen_there(shop, process):
        assert time.monotonic() < deadline, "the relay was never caught inside its transaction"
        if placing.done():
            placing = customers.ordering(3)
        await asyncio.sleep(0.005)
    await placing


async def _is_frozen_there(shop: Shop, process: Process) -> bool:
    process.freeze()
    async with shop.database("inventory") as connection:
        # Twice: what it had sent before it froze may have been on its way.
        found = [await connection.fetchval(RELAY_AT_WORK) for _ in range(2)]
    if set(found) <= _ports_of(process):
        return True
    process.thaw()
    return False


def _ports_of(process: Process) -> set[int]:
    return {each.laddr.port for each in psutil.Process(process.pid).net_connections("tcp")}
