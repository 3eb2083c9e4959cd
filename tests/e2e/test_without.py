"""The shop after the services that an order does not pass were deleted, on the tables and topics that it had before.

That they may be stopped, all other tests here show: none of them runs unless a test asks for it.
"""

import asyncio
from pathlib import Path

import pytest

from deployment import NOTE
from tests.copies import copy_of_the_project, delete, run
from tests.e2e import test_whole_order as order_flow
from tests.invariants import assert_sound
from tests.processes import BESIDE, ORDER_FLOW
from tests.system import Shop

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = copy_of_the_project(tmp_path_factory.mktemp("left"), "")
    for service in BESIDE:
        delete(tree, service)
    return tree


async def test_what_is_left_says_what_it_lacks_and_serves_orders_as_before(
    shop: Shop, left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLICELINE_POSTGRES_URL", shop.system.postgres)
    for name, value in shop.system.kafka.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLICELINE_PASSWORDS", str(shop.system.passwords.folder))
    assert shop.system.services == [*ORDER_FLOW], "nobody has asked for others"
    processes = [shop.system[service] for service in ORDER_FLOW]
    assert set(await asyncio.gather(*(process.stop() for process in processes))) == {0}
    migrated = await asyncio.to_thread(run, left, "-m", "deployment.migrate")
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    notes = [line.removeprefix(NOTE) for line in migrated.stdout.splitlines() if line.startswith(NOTE)]
    assert len([note for note in notes if "will hear nothing from reviews, which is not here" in note]) == 1

    for process in processes:
        process.launch({"PYTHONPATH": str(left)})
    await asyncio.gather(*(process.until_ready() for process in processes))
    await order_flow.test_a_collection_is_ready_when_baked_and_ends_at_the_counter(shop)
    await assert_sound(shop)
    await asyncio.gather(*(process.stop() for process in processes))  # each is started again from the whole tree
