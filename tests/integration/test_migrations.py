"""Every service's tables, as Python has them, are what its migrations make; and migrating is repeatable both ways."""

import asyncio
import importlib
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from backbone.storage import migrations
from backbone.storage.tables import metadata as backbone_metadata
from services import CATALOGUE
from tests.conftest import NewDatabase


def on(url: str, work: Any) -> Any:
    """What `work(connection)` returns, on a connection of its own."""

    async def run() -> Any:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1), poolclass=NullPool)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def metadata_of(service: str) -> MetaData:
    """The backbone's tables and the service's own in one."""
    own = importlib.import_module(f"services.{service}.tables").metadata
    together = MetaData()
    for table in (*backbone_metadata.sorted_tables, *own.sorted_tables):
        table.to_metadata(together)
    return together


def differences(service: str, url: str) -> list[Any]:
    def compare(connection: Connection) -> list[Any]:
        found = connection.execute(text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"))
        partitions = {row.relname for row in found}
        asked = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: kind != "table" or name not in partitions,
        }
        context = MigrationContext.configure(connection, opts=asked)
        return list(compare_metadata(context, metadata_of(service)))

    found: list[Any] = on(url, compare)
    return found


def shape(url: str) -> list[tuple[Any, ...]]:
    """Columns, constraints and indexes as the database itself tells them."""
    query = text(
        """
        SELECT 'column', table_name || '.' || column_name, data_type || ' ' || is_nullable ||
               coalesce(' ' || column_default, '') || is_identity FROM information_schema.columns
        WHERE table_schema = 'public'
        UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        ORDER BY 1, 2
        """
    )
    found: list[tuple[Any, ...]] = on(url, lambda connection: [tuple(row) for row in connection.execute(query)])
    return found


@pytest.mark.parametrize("service", CATALOGUE)
def test_the_tables_are_what_the_migrations_make(service: str, new_database: NewDatabase) -> None:
    assert differences(service, new_database(service)) == []


@pytest.mark.parametrize("service", CATALOGUE)
def test_migrating_twice_is_harmless_and_down_and_up_again_makes_the_same(
    service: str, new_database: NewDatabase
) -> None:
    url = new_database(service)
    before = shape(url)
    migrations.upgrade(service, url)
    assert shape(url) == before
    command.downgrade(migrations.config_of(service, url), "base")
    assert {name for kind, name, _ in shape(url) if kind == "column"} == {"alembic_version.version_num"}
    migrations.upgrade(service, url)
    assert shape(url) == before
