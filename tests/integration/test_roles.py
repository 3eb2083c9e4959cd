"""Who may do what in Postgres: each service's own role, its owner and the reader are held to what is declared.

On a server of its own, on which some services have been since before there were owners: what holds of a new
installation holds of theirs.
"""

import asyncio
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import text

from backbone.consuming.shadow import SCHEMA
from backbone.context import Context
from backbone.storage import migrations
from backbone.storage.confined import confined_to, customers_of
from backbone.storage.database import Database
from backbone.storage.statement import Statement
from backbone.storage.tables import metadata as of_the_backbone
from deployment import granting, grants
from deployment.addresses import database_url, in_database
from deployment.granting import SERVICE_LIMITS, InTheWay
from deployment.grants import declared
from deployment.migrate import ONCE_EVERYBODYS, NotMigrated, databases
from deployment.passwords import Passwords
from deployment.roles import READER, SUPERUSER, every_role, owner_of
from services import CATALOGUE
from services.ledger import jobs, store
from services.ledger.settings import Settings
from tests import servers
from tests.integration.test_migrating import held

EARLIER = ("orders", "ledger")
"""Services whose tables are from before there were owners: their own role has made them."""
RESTORED = "kitchen"
"""One whose database the superuser has put back."""
MENU = "SELECT count(*) FROM menu"

# What a role is able to do with the tables of a database, each tried for real and rolled back. What fails for another
# reason than a missing privilege was let through.
TRYING = """
DO $$
DECLARE one record; able text := '';
BEGIN
  FOR one IN
    SELECT c.relname AS name, kind.name AS kind, format(kind.said, c.relname, a.attname) AS said
    FROM pg_class AS c
    JOIN LATERAL (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
                  AND attidentity = '' ORDER BY attnum LIMIT 1) AS a ON true
    CROSS JOIN (VALUES
      ('SELECT', 'SELECT FROM public.%1$I LIMIT 0'), ('INSERT', 'INSERT INTO public.%1$I DEFAULT VALUES'),
      ('UPDATE', 'UPDATE public.%1$I SET %2$I = NULL WHERE false'), ('DELETE', 'DELETE FROM public.%1$I WHERE false'),
      ('TRUNCATE', 'TRUNCATE public.%1$I'), ('ALTER', 'ALTER TABLE public.%1$I ADD COLUMN mine int'),
      ('DROP', 'DROP TABLE public.%1$I'), ('INDEX', 'CREATE INDEX ON public.%1$I ((1))'),
      ('COPY', 'CREATE TABLE public.mine (LIKE public.%1$I)'),
      ('OWNER', 'ALTER TABLE public.%1$I OWNER TO CURRENT_USER'),
      ('TRIGGER', 'CREATE TRIGGER mine AFTER UPDATE ON public.%1$I EXECUTE FUNCTION tsvector_update_trigger()'),
      ('RULE', 'CREATE RULE mine AS ON INSERT TO public.%1$I DO INSTEAD NOTHING'),
      ('LOCK', 'LOCK TABLE public.%1$I IN ACCESS EXCLUSIVE MODE')
    ) AS kind(name, said)
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  LOOP
    BEGIN
      EXECUTE one.said;
      RAISE EXCEPTION USING ERRCODE = 'P0099';
    EXCEPTION
      WHEN insufficient_privilege THEN NULL;
      WHEN OTHERS THEN able := able || one.name || ' ' || one.kind || E'\\n';
    END;
  END LOOP;
  PERFORM set_config('tried.able', able, false);
END $$
"""
BESIDE = (
    "CREATE TABLE mine (a int)",
    "CREATE TEMP TABLE mine (a int)",
    "CREATE SCHEMA mine",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SEQUENCE mine",
    "CREATE DATABASE mine",
    "CREATE ROLE mine",
    "SET ROLE {owner}",
    "SET ROLE {superuser}",
    "SET SESSION AUTHORIZATION {superuser}",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE {owner} PASSWORD 'x'",
    "GRANT {owner} TO CURRENT_USER",
    "ALTER DATABASE {service} SET jit = off",
    "DROP DATABASE payments",
    "ALTER SYSTEM SET fsync = off",
    "SELECT pg_reload_conf()",
    "SET session_replication_role = replica",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT rolpassword FROM pg_authid",
    "SELECT * FROM alembic_version",
)


@dataclass(frozen=True)
class Installation:
    url: str
    passwords: Passwords

    def as_role(self, service: str, role: str) -> str:
        return database_url(self.url, service, role, self.passwords.of(role))

    def migrate(self) -> str:
        """Migrate; returns what that says."""
        said: list[str] = []
        asyncio.run(databases(self.url, self.passwords, said.append))
        return "\n".join(said)

    def run(self, url: str, *statements: str) -> Any:
        """The first value of the last statement."""
        return asyncio.run(_run(url, statements))

    def whole(self, service: str, *statements: str) -> Any:
        """The same in a service's database, as the superuser."""
        return self.run(in_database(self.url, service), *statements)

    def refusal(self, url: str, *statements: str) -> str:
        with pytest.raises(asyncpg.PostgresError) as refused:
            self.run(url, *statements)
        return type(refused.value).__name__

    def able(self, service: str, role: str) -> set[tuple[str, str]]:
        """What a role is able to do with which table; one that only reads by default tries to write all the same."""
        login = service if role == customers_of(service) else role
        url = self.as_role(service, login)
        becoming = f"SET ROLE {role if role != login else 'NONE'}"
        tried = self.run(url, WRITING, becoming, TRYING, "SELECT current_setting('tried.able')")
        return {(name, kind) for line in tried.splitlines() for name, kind in [line.split(" ")]}


WRITING = "SET default_transaction_read_only = off"


async def _run(url: str, statements: tuple[str, ...]) -> Any:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with servers.postgres(servers.chosen()) as url:
        made = Installation(url, Passwords(tmp_path_factory.mktemp("installation") / "passwords"))
        for service in EARLIER:
            made.run(url, f"CREATE ROLE {service} LOGIN PASSWORD '{ONCE_EVERYBODYS}'")
            made.run(url, f"CREATE DATABASE {service} OWNER {service}")
            migrations.upgrade(service, database_url(url, service, service, ONCE_EVERYBODYS))
        made.run(database_url(url, "orders", "orders", ONCE_EVERYBODYS), f"CREATE SCHEMA {SCHEMA}")
        made.run(url, f"CREATE DATABASE {RESTORED}")
        migrations.upgrade(RESTORED, in_database(url, RESTORED))
        made.migrate()
        yield made


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders are all that is migrated, which takes as long as it has to."""
    monkeypatch.setattr("deployment.migrate.CATALOGUE", {"orders": 1})
    monkeypatch.setattr(granting, "_AGAIN", replace(granting._AGAIN, within=timedelta(milliseconds=300)))


@pytest.mark.parametrize("service", CATALOGUE)
def test_with_every_table_a_service_and_the_reader_can_do_what_is_declared_and_nothing_else(
    installation: Installation, service: str
) -> None:
    wanted = declared(service)
    assert {name for name, _, _ in wanted} > of_the_backbone.tables.keys()
    for role in (service, customers_of(service), READER):
        allowed = {(name, privilege) for name, of, privilege in wanted if of == role}
        # Whoever may change rows may lock them, all of them as well.
        locked = {(name, "LOCK") for name, privilege in allowed if privilege in ("UPDATE", "DELETE")}
        # A row that is nobody's, as the one that is tried, is no customer's to add.
        others = {(name, "INSERT") for name in grants.policies(service)} if role == customers_of(service) else set()
        assert installation.able(service, role) == (allowed | locked) - others


@pytest.mark.parametrize("service", CATALOGUE)
def test_every_statement_of_a_service_is_one_that_its_role_may_run(installation: Installation, service: str) -> None:
    """Asked for its plan alone, which is refused like the statement; no test would meet all that is done so seldom."""
    import_module(f"services.{service}.service")
    statements = {each.text for name in OF_EVERY_SERVICE | {f"services.{service}"} for each in statements_of(name)}
    assert len(statements) > 100
    refused, planned = asyncio.run(_planned(installation.as_role(service, service), statements))
    assert refused == {}
    assert planned > 0.9 * len(statements)


OF_EVERY_SERVICE = {f"backbone.{room}" for room in ("consuming", "http", "jobs", "publishing", "sealing", "storage")}
OF_THE_OWNER = ("backbone.consuming.shadow", "backbone.consuming.comparing")
"""What `replay --shadow` runs."""


def statements_of(package: str) -> Iterator[Statement]:
    for name, module in list(sys.modules.items()):
        if f"{name}.".startswith(f"{package}.") and name not in OF_THE_OWNER:
            for value in vars(module).values():
                yield from (each for each in (value, *contents(value)) if isinstance(each, Statement))


def contents(value: object) -> Iterable[object]:
    """What a table of statements holds."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()


async def _planned(url: str, statements: Iterable[str]) -> tuple[dict[str, str], int]:
    """What was refused, with the words of the refusal, and how many were planned."""
    refused, planned = {}, 0
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            try:
                async with connection.transaction():
                    lead = "" if statement.lstrip().startswith("LOCK") else "EXPLAIN (GENERIC_PLAN) "
                    await connection.execute(lead + statement)
                planned += 1
            except asyncpg.InsufficientPrivilegeError as error:
                refused[statement] = str(error)
            except asyncpg.PostgresError:
                pass  # of a parameter it cannot tell the type without a value
    finally:
        await connection.close()
    return refused, planned


def test_what_tables_say_of_themselves_is_what_is_declared() -> None:
    own, customers, read = defaultdict(set), defaultdict(set), set()
    for service in CATALOGUE:
        for table, role, privilege in declared(service):
            if role == service:
                own[service, table].add(privilege)
            elif role == customers_of(service):
                customers[service, table].add(privilege)
            else:
                assert (role, privilege) == (READER, "SELECT")
                read.add((service, table))
    assert {table for table, may in own.items() if may == {"SELECT"}} == {(service, "audit") for service in CATALOGUE}
    assert {table for table, may in own.items() if may == {"SELECT", "INSERT"}} == {
        *((service, "audit_waiting") for service in CATALOGUE),
        ("ledger", "events"),
        ("ledger", "told_forms"),
        ("loyalty", "entries"),
        ("orders", "timeline"),
        ("partners", "received"),
        ("router", "rule_versions"),
        ("webhooks", "attempts"),
    }
    assert {len(may) for may in own.values()} == {1, 2, 4}
    secret = {(service, table) for service in CATALOGUE for table in ("data_keys", "idempotency_keys")}
    assert own.keys() - read == secret | {("partners", "partners"), ("webhooks", "endpoints")}
    assert customers == {
        ("carts", "carts"): {"SELECT", "UPDATE"},
        ("loyalty", "accounts"): {"SELECT"},
        ("loyalty", "entries"): {"SELECT"},
        ("orders", "menu"): {"SELECT"},
        ("orders", "orders"): {"SELECT", "UPDATE"},
        ("orders", "refunds"): {"SELECT"},
        ("orders", "shortages"): {"SELECT"},
        ("orders", "timeline"): {"SELECT", "INSERT"},
        ("reviews", "reviews"): {"SELECT", "INSERT"},
    }
    walled = {(service, table) for service in CATALOGUE for table in grants.policies(service)}
    assert customers.keys() - walled == {("orders", "menu"), ("orders", "shortages")}


@pytest.mark.parametrize("service", sorted({name for name in CATALOGUE if grants.policies(name)}))
def test_a_table_that_names_a_customer_or_an_order_says_whose_its_rows_are(service: str) -> None:
    named = {
        table.name
        for table in grants._tables(service)
        if table.name not in of_the_backbone.tables
        and any(column.name == "order_id" or column.name.startswith("customer") for column in table.columns)
    }
    assert named == grants.policies(service).keys()


def own_rows(installation: Installation, *customers: str) -> None:
    """Have each of these customers have an order that bears the customer's name, with a timeline."""
    for name in customers:
        installation.whole(
            "orders",
            f"""
            INSERT INTO orders SELECT '{name}', '{name}', '', '', 'collection', NULL, '[]', 'GBP', 1, 'placed', NULL,
                   '{{}}', now(), now(), false, 1 ON CONFLICT DO NOTHING
            """,
            f"""
            INSERT INTO timeline (order_id, at, event, text)
            SELECT '{name}', now(), '', '' WHERE NOT EXISTS (SELECT FROM timeline WHERE order_id = '{name}')
            """,
            "SELECT 1",
        )


SEEN = "SELECT array(SELECT id FROM orders UNION ALL SELECT order_id FROM timeline ORDER BY 1)"
NAMES = ("ada", "ben", "o'hara' OR true --", "")


async def test_a_customer_sees_own_rows_and_whoever_asks_next_on_the_connection_all(
    installation: Installation,
) -> None:
    await asyncio.to_thread(own_rows, installation, "ada", "ben")
    database = Database(installation.as_role("orders", "orders"), "orders", size=1)

    async def seen(customer: str | None) -> list[str]:
        with confined_to(customer):
            [[found]] = await database.fetch(SEEN)
            async with database.reading() as connection:
                assert (await connection.execute(text(SEEN))).scalar_one() == found
            async with database.transaction() as tx:
                async with tx.confined():
                    assert await tx.raw.fetchval(SEEN) == found
                assert await tx.raw.fetchval(SEEN) == ["ada", "ada", "ben", "ben"]
        return list(found)

    try:
        asked = [*NAMES, None] * 3
        found = await asyncio.gather(*map(seen, asked))
        own = {name: [name, name] if name in ("ada", "ben") else [] for name in NAMES}
        assert found == [["ada", "ada", "ben", "ben"] if name is None else own[name] for name in asked]
        with confined_to("ada"), pytest.raises(asyncpg.DivisionByZeroError):
            await database.fetch("SELECT 1 / 0 FROM orders")
        assert await seen(None) == ["ada", "ada", "ben", "ben"]
    finally:
        await database.close()


def test_where_no_customer_is_named_there_is_nothing(installation: Installation) -> None:
    own_rows(installation, "ada", "ben")
    own = installation.as_role("orders", "orders")
    becoming = f"SET ROLE {customers_of('orders')}"
    assert installation.run(own, becoming, SEEN) == []
    named = "SELECT set_config('sliceline.customer', 'ada', false)"
    assert installation.run(own, named, becoming, SEEN) == ["ada", "ada"]
    assert installation.run(own, named, becoming, "RESET sliceline.customer", SEEN) == []
    reader = installation.as_role("orders", READER)
    assert installation.run(reader, SEEN) == installation.run(own, named, SEEN) == ["ada", "ada", "ben", "ben"]
    for role in (READER, "payments"):
        login = installation.as_role("orders" if role == READER else role, role)
        assert installation.refusal(login, becoming) == "InsufficientPrivilegeError"


@pytest.mark.parametrize(
    "said",
    [
        "SELECT FROM outbox",
        "SELECT FROM data_keys",
        "SELECT FROM idempotency_keys",
        "DELETE FROM orders",
        "UPDATE orders SET customer_id = 'ben'",
        "INSERT INTO timeline (order_id, at, event, text) VALUES ('ben', now(), '', '')",
        "INSERT INTO orders SELECT * FROM orders",
    ],
)
def test_a_customer_takes_nothing_gives_nothing_away_and_looks_into_nothing_else(
    installation: Installation, said: str
) -> None:
    own_rows(installation, "ada", "ben")
    confined = ("SELECT set_config('sliceline.customer', 'ada', false)", f"SET ROLE {customers_of('orders')}")
    assert installation.refusal(installation.as_role("orders", "orders"), *confined, said) == (
        "InsufficientPrivilegeError"
    )


def test_a_wall_that_was_taken_down_stands_after_the_next_migration_and_one_that_stands_takes_no_lock(
    installation: Installation, alone: None
) -> None:
    own_rows(installation, "ada", "ben")
    policies = "polrelid::regclass || ' ' || polname ORDER BY polrelid::regclass::text, polname"
    there = f"SELECT array_agg({policies}) FROM pg_policy"
    walls = installation.whole("orders", there)
    assert len(walls) == 6
    [dropped] = (each.split()[1] for each in walls if each.startswith("orders own"))
    installation.whole(
        "orders",
        f"DROP POLICY {dropped} ON orders",
        "CREATE POLICY mine ON orders USING (true)",
        "CREATE POLICY mine ON menu USING (true)",
        "ALTER TABLE timeline DISABLE ROW LEVEL SECURITY",
        "SELECT 1",
    )
    installation.migrate()
    assert installation.whole("orders", there) == walls
    test_where_no_customer_is_named_there_is_nothing(installation)
    with held(in_database(installation.url, "orders"), "SELECT FROM orders"):
        installation.migrate()


@pytest.mark.parametrize("role", ["orders", READER])
def test_beside_its_tables_a_role_can_do_nothing(installation: Installation, role: str) -> None:
    superuser = urlsplit(installation.url).username
    for statement in BESIDE:
        said = statement.format(owner=owner_of("orders"), superuser=superuser, service="orders")
        refused = installation.refusal(installation.as_role("orders", role), WRITING, said)
        assert refused == "InsufficientPrivilegeError", said


def test_a_role_comes_into_no_database_but_its_own(installation: Installation) -> None:
    query = """
    SELECT array_agg(rolname::text) FROM pg_roles
    WHERE has_database_privilege(oid, '{}', 'CONNECT') AND NOT rolsuper AND rolname NOT LIKE 'pg\\_%'
    """
    for service in CATALOGUE:
        found = installation.run(installation.url, query.format(service))
        assert set(found) == {service, owner_of(service), READER}
    stranger = database_url(installation.url, "payments", "orders", installation.passwords.of("orders"))
    assert installation.refusal(stranger, "SELECT 1") == "InsufficientPrivilegeError"


def test_an_owner_owns_all_of_its_database_and_is_nothing_else(installation: Installation) -> None:
    strangers = """
    SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relowner <> '{0}'::regrole)
         + (SELECT count(*) FROM pg_namespace WHERE nspowner NOT IN (10, '{0}'::regrole, 'pg_database_owner'::regrole))
    """
    for service in CATALOGUE:
        assert installation.whole(service, strangers.format(owner_of(service))) == 0
    for service in (*EARLIER, RESTORED, "loyalty"):
        made = f"CREATE SCHEMA {SCHEMA}; CREATE TEMP TABLE mine (a int); DROP SCHEMA {SCHEMA}"
        owner = installation.as_role(service, owner_of(service))
        assert installation.run(owner, f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE", made, "SELECT 1") == 1
    powerful = """
    SELECT count(*) FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%' AND rolname <> current_user
    AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)
    """
    assert installation.run(installation.url, powerful) == 0


@pytest.mark.parametrize(("name", "value"), {**SERVICE_LIMITS, "statement_timeout": "1min"}.items())
def test_the_server_cuts_off_what_lasts_too_long(installation: Installation, name: str, value: str) -> None:
    assert installation.run(installation.as_role("orders", "orders"), f"SHOW {name}") == value


def test_the_reader_reads_what_is_there_and_writes_nothing(installation: Installation) -> None:
    url = installation.as_role("orders", READER)
    assert installation.run(url, MENU) > 10
    assert installation.refusal(url, "DELETE FROM menu") == "ReadOnlySQLTransactionError"


async def test_the_ledger_has_days_made_and_dropped_by_their_owner(installation: Installation) -> None:
    database = Database(installation.as_role("ledger", "ledger"), "ledger")
    try:
        context = Context(Settings(database_url="postgresql://unused", ledger_days=8), database)
        there = await _days(database)
        await database.fetch("SELECT events_drop_days(ARRAY[current_date + 3])")
        assert set(there) - set(await _days(database)) == {(database.now() + timedelta(days=3)).date()}
        await jobs.partition(None, context)  # type: ignore[arg-type]  # which job it is makes no difference
        assert await _days(database) == there
    finally:
        await database.close()
    reader = installation.as_role("ledger", READER)
    for call in ("events_drop_days('{}')", "events_forget_rest(now())"):
        said = await asyncio.to_thread(installation.refusal, reader, WRITING, f"SELECT {call}")
        assert said == "InsufficientPrivilegeError"


def test_a_service_adds_acts_and_only_its_owners_function_chains_them(installation: Installation) -> None:
    own, reader = installation.as_role("kitchen", "kitchen"), installation.as_role("kitchen", READER)
    assert installation.run(own, "INSERT INTO audit_waiting (entry) VALUES ('{}')", "SELECT number FROM audit_chain(9)")
    for said in ("INSERT INTO audit VALUES (9, '', '', '')", "UPDATE audit SET entry = ''", "DELETE FROM audit"):
        assert installation.refusal(own, said) == "InsufficientPrivilegeError"
    assert installation.refusal(own, "DELETE FROM audit_waiting") == "InsufficientPrivilegeError"
    assert installation.refusal(reader, WRITING, "SELECT audit_chain(9)") == "InsufficientPrivilegeError"


async def _days(database: Database) -> list[Any]:
    async with database.transaction() as tx:
        return sorted(await store.days(tx.raw))


def test_no_password_is_the_one_that_everybody_knew_and_the_server_keeps_none(installation: Installation) -> None:
    drawn = {installation.passwords.of(role) for role in every_role(CATALOGUE)}
    assert len(drawn | {ONCE_EVERYBODYS}) == len(every_role(CATALOGUE)) + 1
    old = database_url(installation.url, "orders", "orders", ONCE_EVERYBODYS)
    assert installation.refusal(old, "SELECT 1") == "InvalidPasswordError"
    kept = "SELECT array_agg(rolpassword) FROM pg_authid WHERE rolname = ANY('{{{}}}')"
    for each in installation.run(installation.url, kept.format(",".join(every_role(CATALOGUE)))):
        assert each.startswith("SCRAM-SHA-256$4096:")


@pytest.mark.skipif(servers.chosen() != "local", reason="reads what the server writes down")
def test_no_password_is_in_the_servers_log_or_in_what_migrating_says(
    installation: Installation, alone: None, tmp_path: Path
) -> None:
    """All are drawn anew, so that each is told to a server that writes down whatever it is told."""
    anew = replace(installation, passwords=Passwords(tmp_path / "passwords"))
    superuser = urlsplit(installation.url).username
    installation.run(installation.url, f"ALTER ROLE {superuser} SET log_statement = 'all'", "SELECT 1")
    try:
        said = anew.migrate()
    finally:
        installation.run(installation.url, f"ALTER ROLE {superuser} RESET log_statement", "SELECT 1")
    assert anew.run(anew.as_role("orders", "orders"), MENU)
    installation.migrate()
    log = Path(installation.run(installation.url, "SHOW data_directory")).parent / "server.log"
    told = log.read_text()
    assert 'ALTER ROLE "orders" LOGIN' in told
    for role in every_role(["orders"]):
        assert anew.passwords.of(role) not in said + told
        assert anew.passwords.file(role).stat().st_mode & 0o777 == 0o600


async def test_a_password_is_changed_under_load_and_no_request_fails(
    installation: Installation, alone: None, tmp_path: Path
) -> None:
    """Each request opens a connection of its own, also while the server has the new password and the file the old."""
    passwords = Passwords(
        await asyncio.to_thread(shutil.copytree, installation.passwords.folder, tmp_path / "passwords")
    )
    changed = replace(installation, passwords=passwords)
    bare = database_url(installation.url, "orders", "orders")
    database = Database(bare, "orders", password_file=passwords.file("orders"))
    answers: list[int] = []

    async def ask() -> None:
        while len(changes) < 2 or len(answers) < asked:
            connection = await database.connect_aside(within=10)
            answers.append(await connection.fetchval(MENU))
            await connection.close()
            async with database.reading() as pooled:
                await pooled.invalidate()

    changes, asked = list[str](), 0
    asking = [asyncio.create_task(ask()) for _ in range(4)]
    try:
        for _ in range(2):
            passwords.renew("orders")
            await asyncio.to_thread(changed.migrate)
            changes.append(passwords.of("orders"))
            asked = len(answers) + 20
        await asyncio.gather(*asking)
        assert len(set(changes)) == 2
        assert len(set(answers)) == 1
    finally:
        await asyncio.gather(*asking, return_exceptions=True)
        await database.close()
        await asyncio.to_thread(installation.migrate)
    wrong = Database(bare, "orders", password_file=tmp_path / "wrong")
    (tmp_path / "wrong").write_text("wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await wrong.connect_aside(within=10)
    await wrong.close()


def test_migrating_again_changes_no_password_and_takes_back_what_nobody_has_declared(
    installation: Installation, alone: None
) -> None:
    passwords = "SELECT string_agg(rolpassword, ' ' ORDER BY rolname) FROM pg_authid"
    before, could = installation.run(installation.url, passwords), installation.able("orders", READER)
    installation.whole(
        "orders",
        f"GRANT ALL ON menu, timeline, data_keys TO orders, {READER}, PUBLIC",
        "REVOKE INSERT ON outbox FROM orders",
        "ALTER ROLE orders CREATEDB",
        "SELECT 1",
    )
    assert installation.able("orders", READER) > could
    installation.migrate()
    test_with_every_table_a_service_and_the_reader_can_do_what_is_declared_and_nothing_else(installation, "orders")
    assert installation.run(installation.url, passwords) == before
    assert installation.run(installation.url, "SELECT rolcreatedb FROM pg_roles WHERE rolname = 'orders'") is False


def test_tables_that_are_handed_over_keep_their_rows_and_are_not_taken_from_whoever_reads_them(
    installation: Installation, alone: None
) -> None:
    rows = installation.whole("orders", MENU)
    installation.whole(
        "orders", "ALTER TABLE menu OWNER TO orders", "ALTER DATABASE orders OWNER TO orders", "SELECT 1"
    )
    with (
        held(in_database(installation.url, "orders"), "SELECT FROM menu"),
        pytest.raises(InTheWay, match="orders: its tables are to belong to orders_owner"),
    ):
        installation.migrate()
    installation.migrate()
    owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'menu'::regclass"
    assert installation.whole("orders", owner) == "orders_owner"
    assert installation.whole("orders", MENU) == rows


def test_the_superusers_password_that_everybody_knew_is_replaced_where_it_is_met(
    installation: Installation, alone: None, tmp_path: Path
) -> None:
    """As compose set it: the file has a drawn one now."""
    shutil.copytree(installation.passwords.folder, tmp_path / "passwords")
    passwords = Passwords(tmp_path / "passwords")
    drawn = passwords.of(SUPERUSER)
    installation.run(installation.url, f"CREATE ROLE earlier SUPERUSER LOGIN PASSWORD '{ONCE_EVERYBODYS}'", "SELECT 1")
    try:
        bare = database_url(installation.url, "postgres", "earlier")
        Installation(bare, passwords).migrate()
        old, new = (database_url(installation.url, "postgres", "earlier", each) for each in (ONCE_EVERYBODYS, drawn))
        assert installation.refusal(old, "SELECT 1") == "InvalidPasswordError"
        assert installation.run(new, "SELECT 1") == 1
        passwords.file(SUPERUSER).write_text("not-this-one")
        with pytest.raises(NotMigrated, match="does not take the password in") as refused:
            Installation(bare, passwords).migrate()
        assert "not-this-one" not in str(refused.value)
    finally:
        installation.run(installation.url, "DROP ROLE earlier", "SELECT 1")


def test_tables_that_this_code_does_not_know_are_left_to_the_release_that_does(
    installation: Installation, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = grants._tables
    monkeypatch.setattr(grants, "_tables", lambda service: (each for each in tables(service) if each.name != "menu"))
    installation.migrate()
    assert ("menu", "DELETE") in installation.able("orders", "orders")
