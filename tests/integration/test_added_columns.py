"""A migration of the next release adds columns while this release runs: nothing of it fails."""

from backbone.publishing.relay import Relay
from backbone.storage.database import Database
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import fed
from tests.integration.test_orders import confirmed, document, fact
from tests.integration.test_parking import Faulty, consumer_of, letters, reached, record_of, redriven, send
from tests.integration.things import Things, running
from tests.waiting import eventually

TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"


async def add_columns(database: Database) -> None:
    for row in await database.fetch(TABLES):
        await database.fetch(f'ALTER TABLE "{row["table_name"]}" ADD COLUMN of_the_next_release text')


async def test_orders_handles_and_shows_orders_after_every_table_got_a_column(new_database: NewDatabase) -> None:
    async with fed(ORDERS, new_database) as orders:

        async def go_through_all() -> str:
            order = await confirmed(orders)
            await orders.feed(fact("kitchen.pizza-baked", order))
            assert (await orders.client.get("/orders")).status_code == 200
            assert (await orders.client.post(f"/orders/{order}/cancel", json={})).status_code in (202, 409)
            return str((await document(orders, order))["status"])

        before = await go_through_all()
        await add_columns(orders.database)
        assert await go_through_all() == before


async def test_a_key_is_redriven_after_the_dead_letters_got_a_column(thing: Things) -> None:
    faulty = Faulty(thing, 0, 2)
    await send(thing, record_of(thing, "a", 0), record_of(thing, "b", 2))
    async with running(consumer_of(thing, faulty)):
        await eventually(lambda: reached(thing, 2))
    await redriven(thing, faulty)
    await add_columns(thing.database)
    faulty.refused.clear()
    assert await redriven(thing, faulty) == 2
    assert await letters(thing) == []


async def test_the_relay_goes_on_after_the_outbox_got_a_column(thing: Things) -> None:
    async with running(Relay(thing.database, thing.kafka, poll=0.05)):
        await thing.publish("a", 0)
        await thing.published(1)
        await add_columns(thing.database)
        await thing.publish("a", 1)
        assert len(await thing.published(2)) == 2
