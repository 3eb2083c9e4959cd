"""Makes the roles and the databases of an installation, and sees that databases belong to their owners.

Each time a role is told anew what it is: no superuser, and nobody who makes databases or roles. What an installation
has from before there were owners, or from a backup that the superuser has put back, is handed over.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any

import asyncpg

from backbone.running.retry import RetryPolicy, repeat
from backbone.storage.confined import customers_of
from backbone.storage.database import STATEMENT
from backbone.storage.statement import Statement
from deployment import scram
from deployment.addresses import in_database
from deployment.passwords import Passwords
from deployment.roles import READER, every_role, owner_of

NOTHING_ELSE = "NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
SERVICE_LIMITS = {
    "statement_timeout": f"{STATEMENT:.0f}s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "30s",
}
"""What the server cuts off of a service's role, also where the process that has asked is frozen, or gone."""
READER_LIMITS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10min",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "10min",
}

_KEPT = Statement("SELECT rolname, rolpassword FROM pg_authid WHERE rolname = ANY(:roles::text[])")
_DATABASES = Statement("""
SELECT datname, pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = ANY(:names::text[])
""")
# A number's sequence goes with its table; what an extension has brought stays its own. A schema of the service's role
# is what a rebuilding that was killed has left.
_HAND_OVER = """
SET lock_timeout = '300ms';
DO $$
DECLARE said text;
BEGIN
  FOR said IN
    SELECT format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, '{owner}') FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
      AND c.relowner <> '{owner}'::regrole
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i')))
    UNION ALL
    SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, '{owner}') FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace AND p.proowner <> '{owner}'::regrole
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                      AND d.deptype = 'e')
    UNION ALL
    SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, '{owner}') FROM pg_namespace
    WHERE nspowner = to_regrole('{service}')
  LOOP
    EXECUTE said;
  END LOOP;
END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
ALTER DATABASE "{service}" OWNER TO "{owner}"
"""
_AGAIN = RetryPolicy(first=timedelta(milliseconds=100), longest=timedelta(seconds=1), within=timedelta(seconds=5))
_IN_THE_WAY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


class InTheWay(Exception):
    """Tables could not be handed to their owner, for somebody uses them."""

    def __init__(self, service: str) -> None:
        super().__init__(
            f"{service}: its tables are to belong to {owner_of(service)}, and somebody uses them without a pause. "
            "They are as they were; run it again, or stop the service first."
        )


async def make(connection: Any, postgres_url: str, services: Collection[str], passwords: Passwords) -> None:
    """Make and change what is not as it should be, as the superuser that `postgres_url` names. Raises InTheWay."""
    roles = [*every_role(services), *map(customers_of, services)]
    kept = {row["rolname"]: row["rolpassword"] for row in await _KEPT.fetch(connection, roles=roles)}
    await connection.execute("; ".join(statements_of_roles(services, kept, passwords)))
    for role in every_role(services):
        passwords.settle(role)
    owners = {row["datname"]: row["owner"] for row in await _DATABASES.fetch(connection, names=list(services))}
    for service in services:
        if service not in owners:
            await connection.execute(f'CREATE DATABASE "{service}" OWNER "{owner_of(service)}"')
        elif owners[service] != owner_of(service):
            await _hand_over(in_database(postgres_url, service), service)
    await connection.execute("; ".join(_doors(services)))


def statements_of_roles(
    services: Collection[str], kept: Mapping[str, str | None], passwords: Passwords
) -> Iterator[str]:
    """Say what makes each role what it is; `kept` is what the server keeps of the passwords of those that it has."""
    for role in every_role(services):
        if role not in kept:
            yield f'CREATE ROLE "{role}"'
        password = passwords.coming(role)
        changed = "" if scram.is_of(kept.get(role), password) else f" PASSWORD '{scram.verifier(password)}'"
        yield f'ALTER ROLE "{role}" LOGIN {NOTHING_ELSE}{changed}'
    for service in services:
        if (role := customers_of(service)) not in kept:
            yield f'CREATE ROLE "{role}"'
        yield f'ALTER ROLE "{role}" NOLOGIN {NOTHING_ELSE}'
        yield f'GRANT "{role}" TO "{service}" WITH INHERIT FALSE, SET TRUE'
    for role, limits in (*((service, SERVICE_LIMITS) for service in services), (READER, READER_LIMITS)):
        for name, value in limits.items():
            yield f"ALTER ROLE \"{role}\" SET {name} = '{value}'"


def _doors(services: Collection[str]) -> Iterator[str]:
    """Let nobody into a database but its owner, its service and the reader; these make no temporary tables either."""
    for service in services:
        yield f'REVOKE ALL ON DATABASE "{service}" FROM PUBLIC, "{service}", "{READER}"'
        yield f'GRANT CONNECT ON DATABASE "{service}" TO "{service}", "{READER}"'


async def _hand_over(url: str, service: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    said = _HAND_OVER.format(service=service, owner=owner_of(service))
    try:
        await repeat(lambda: connection.execute(said), _AGAIN, lambda error: isinstance(error, _IN_THE_WAY))
    except _IN_THE_WAY as error:
        raise InTheWay(service) from error
    finally:
        await connection.close()
