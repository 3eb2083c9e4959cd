"""A claim takes what was asked for and no more, whichever plan Postgres chooses for it."""

import asyncio
from datetime import timedelta

from backbone.storage import sql
from backbone.storage.database import Database
from tests.conftest import NewDatabase

# A plan that was chosen under load: the subselect on the inner side of a nested loop.
NESTED_LOOP = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_hashagg = off;"
NESTED_LOOP += " SET LOCAL enable_sort = off; SET LOCAL enable_material = off; SET LOCAL enable_indexscan = off"


async def test_no_more_jobs_are_claimed_than_asked_for(new_database: NewDatabase) -> None:
    database = Database(await asyncio.to_thread(new_database, "payments"), "payments")
    async with database.transaction() as tx:
        for number in range(50):
            tx.schedule("charge", f"order-{number}")

    async with database.transaction() as tx:
        await tx.raw.execute(NESTED_LOOP)
        claimed = await sql.JOB_CLAIM.fetch(tx.raw, kind="charge", lease=timedelta(minutes=1), most=4)
    await database.close()

    assert len(claimed) == 4
