"""A service behind PgBouncer: at home in session pooling, and refused in one sentence in any other."""

import asyncio
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from backbone.storage.confined import ASKING, confined_to, confining
from backbone.storage.database import Database
from backbone.storage.sessions import SharedSessions, refuse_shared
from backbone.values.brokers import Brokers
from local import accounts, probes
from local.ports import HOST, free_port
from local.program import Program, run
from tests.conftest import NewDatabase
from tests.integration.service_process import process_of
from tests.integration.test_group_commit import ORDER
from tests.waiting import eventually

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(
    PROGRAM is None and "SLICELINE_TEST_WHOLE" not in os.environ,
    reason="there is no pgbouncer here; Debian's package has it",
)
ORDERS = "services.orders.service"


@contextmanager
def pooler(directory: Path, database_url: str, mode: str, sessions: int = 40) -> Iterator[str]:
    """The database's address behind a PgBouncer of that pool_mode."""
    assert PROGRAM, "pgbouncer is missing: install Debian's package of that name"
    server, port, account = urlsplit(database_url), free_port(), accounts.server_account()
    file = directory / f"{mode}.ini"
    file.write_text(f"""
        [databases]
        * = host={server.hostname} port={server.port} user={server.username} password={unquote(server.password or "")}
        [pgbouncer]
        listen_addr = {HOST}
        listen_port = {port}
        unix_socket_dir =
        auth_type = any
        pool_mode = {mode}
        default_pool_size = {sessions}
    """)
    accounts.give(directory, account)
    accounts.give(file, account)
    command = (PROGRAM, str(file))
    program = Program("pgbouncer", command, account=account, ready=lambda: probes.postgres(port), port=port)
    bouncer = run(program, directory / f"{mode}.log")
    try:
        yield f"postgresql://orders@{HOST}:{port}{server.path}"
    finally:
        bouncer.kill()


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return await asyncio.to_thread(new_database, "orders")


async def test_a_service_behind_a_pooler_of_sessions_takes_and_publishes_orders(
    url: str, kafka: Brokers, orders_topic: None, tmp_path: Path
) -> None:
    direct = await asyncpg.connect(url)

    async def is_published() -> bool:
        return not await direct.fetchval("SELECT count(*) FROM outbox")

    with pooler(tmp_path, url, "session") as pooled:
        async with process_of(ORDERS, tmp_path / "orders.log", database_url=pooled, kafka=kafka) as orders:
            await orders.until_waiting_for()
            answers = await asyncio.gather(*(orders.client.post("/orders", json=ORDER) for _ in range(16)))
            assert {answer.status_code for answer in answers} == {202}
            cancelled = await orders.client.post(f"{answers[0].headers['location']}/cancel", json={})
            assert cancelled.status_code == 202
            await eventually(is_published)
            assert await orders.stop() == 0
    await direct.close()


async def test_a_session_behind_a_pooler_has_our_settings(url: str, tmp_path: Path) -> None:
    names = ("lock_timeout", "idle_in_transaction_session_timeout", "jit", "application_name")
    with pooler(tmp_path, url, "session") as pooled:
        for address in (url, pooled):
            database = Database(address, "orders")
            values = [(await database.fetch(f"SHOW {name}"))[0][0] for name in names]
            assert values == ["3s", "30s", "off", "sliceline-orders"]
            await refuse_shared(database)
            await database.close()


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_service_behind_any_other_pooler_says_so_in_one_sentence_and_ends(
    url: str, kafka: Brokers, tmp_path: Path, mode: str
) -> None:
    with pooler(tmp_path, url, mode) as pooled:
        async with process_of(ORDERS, tmp_path / "orders.log", database_url=pooled, kafka=kafka) as orders:
            assert await orders.process.ended(30) == 2
            assert orders.output().splitlines()[-1] == f"orders: {SharedSessions()}"
            assert "Traceback" not in orders.output()


async def test_a_pooler_that_others_use_as_well_is_found_out(url: str, tmp_path: Path) -> None:
    """Whichever session is free at the moment, ours or theirs."""
    with pooler(tmp_path, url, "transaction") as pooled:
        others = [await asyncpg.connect(pooled, statement_cache_size=0) for _ in range(5)]
        busy = [asyncio.create_task(keep_asking(other)) for other in others]
        for _ in range(5):
            database = Database(pooled, "orders")
            with pytest.raises(SharedSessions):
                await refuse_shared(database)
            await database.close()
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        for other in others:
            other.terminate()


async def keep_asking(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    while True:
        await connection.execute("SELECT pg_sleep(0.001)")


async def test_a_session_is_confined_to_a_customer_for_one_transaction(url: str, tmp_path: Path) -> None:
    """Also where the pooler gives each transaction another session, as services refuse to be served."""
    direct = await asyncpg.connect(url)
    await direct.execute(f"""
        CREATE TABLE whose AS SELECT unnest('{{ada,ben}}'::text[]) AS id; GRANT SELECT ON whose TO orders_customers;
        ALTER TABLE whose ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON whose TO orders_customers USING (id = {ASKING})
    """)

    async def seen(connection: "asyncpg.Connection[asyncpg.Record]", customer: str | None) -> list[str]:
        with confined_to(customer):
            said = confining("orders")
        async with connection.transaction():
            if said:
                await connection.execute(said)
            return [row["id"] for row in await connection.fetch("SELECT id FROM whose ORDER BY id")]

    async def seen_in_turn(names: Sequence[str | None]) -> list[list[str]]:
        connection = await asyncpg.connect(pooled, statement_cache_size=0)
        found = [await seen(connection, name) for name in names]
        await connection.close()
        return found

    own = {"ada": ["ada"], "ben": ["ben"], "carl": [], None: ["ada", "ben"]}
    asked = [[*own][at:] + [*own][:at] for at in range(len(own))]
    with pooler(tmp_path, url, "transaction", sessions=2) as pooled:
        found = await asyncio.gather(*(seen_in_turn(names * 5) for names in asked))
    assert found == [[own[name] for name in names * 5] for names in asked]
    await direct.close()
