"""./sliceline psql: look into a service's database."""

import asyncio
import os
import shlex
import shutil
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import typer

from backbone.values.passwords import apart
from cli.console import console, fail
from cli.databases import url_of
from cli.running import known_service, running_shop
from deployment.roles import READER, owner_of


class Who(StrEnum):
    """Names the roles as which somebody may look into a database."""

    READER = "reader"
    SERVICE = "service"
    OWNER = "owner"


def psql(
    service: Annotated[str, typer.Argument(help="Whose database.")],
    command: Annotated[str | None, typer.Option("--command", "-c", help="Run this SQL and print its rows.")] = None,
    url: Annotated[bool, typer.Option("--url", help="Print the address, password and all.")] = False,
    env: Annotated[bool, typer.Option("--env", help="Print it as variables for Postgres's other programs.")] = False,
    who: Annotated[
        Who, typer.Option("--as", help="reader reads, service changes rows, owner may do everything with the tables.")
    ] = Who.READER,
) -> None:
    """Open psql on a service's database, to read. With --command no psql is needed."""
    known_service(service)
    role = {Who.READER: READER, Who.SERVICE: service, Who.OWNER: owner_of(service)}[who]
    address = url_of(running_shop(), service, role)
    if url:
        typer.echo(address)
    elif env:
        typer.echo(_exported(address))
    elif command is not None:
        _run(address, command)
    else:
        _become_psql(service, address)


def _exported(address: str) -> str:
    """Write an address for a shell: in a program's arguments everybody could read the password."""
    parts = urlsplit(address)
    named = {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": parts.username or "",
        "PGDATABASE": parts.path.strip("/"),
        "PGPASSWORD": apart(address)[1],
        **{f"PG{name.upper()}": value for name, value in parse_qsl(parts.query) if name.startswith("ssl")},
    }
    return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in named.items())


def _become_psql(service: str, address: str) -> None:
    client = shutil.which("psql")
    if client is None:
        fail(
            "There is no psql here. Run one statement with: "
            f'./sliceline psql {service} -c "SELECT …", or give the address to another client: '
            f"./sliceline psql {service} --url"
        )
    # Whoever lists processes sees their arguments.
    shown, password = apart(address)
    os.execve(client, [client, shown], {**os.environ, "PGPASSWORD": password})  # noqa: S606 (what the command is for)


def _run(address: str, statement: str) -> None:
    import asyncpg

    try:
        rows, done = asyncio.run(_fetch(address, statement))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        fail(f"{error}")
    if rows:
        _print(rows)
    console.print(done or "", style="dim", highlight=False)


async def _fetch(address: str, statement: str) -> tuple[list[Any], str | None]:
    """Return the rows of one statement, and how the server says that it ended."""
    import asyncpg

    connection = await asyncpg.connect(address, timeout=10)
    try:
        prepared = await connection.prepare(statement)
        return await prepared.fetch(), prepared.get_statusmsg()
    finally:
        await connection.close()


def _print(rows: list[Any]) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in rows[0].keys():  # noqa: SIM118 (a record iterates over its values)
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    console.print(table, markup=False)
