"""Says who may do what with which table and which of its rows, and brings a database to it.

The tables say it themselves, where they are described: what is `SECRET` is not for the role that reads, of what is
`APPEND_ONLY` a service changes nothing, and to what is `READ_ONLY` it adds nothing either. The role that a service
takes on for a customer sees of a table what is the customer's `own`. A function that works as its owner is the
service's to call. What nobody declares nobody may: neither the service nor the reader makes, alters, drops or empties a
table.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Row, Table, text

from backbone.storage.confined import ASKING, customers_of
from backbone.storage.tables import READING
from backbone.storage.tables import metadata as of_the_backbone
from deployment.roles import READER

Grants = frozenset[tuple[str, str, str]]
"""Table, role and privilege."""
EVERYBODY = "public"
ADDING = (*READING, "INSERT")
CHANGING = (*ADDING, "UPDATE", "DELETE")

_TABLES = text("""
SELECT c.relname AS name, CASE a.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(a.grantee) END AS role,
       a.privilege_type AS privilege
FROM pg_class AS c LEFT JOIN aclexplode(c.relacl) AS a ON true
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
""")
_WALLS = text("""
SELECT c.relname AS name, c.relrowsecurity AS is_walled,
       array(SELECT polname::text FROM pg_policy WHERE polrelid = c.oid) AS policies
FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
""")
_FUNCTIONS = text("""
SELECT p.oid::regprocedure::text AS name FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef AND (
  has_function_privilege('public', p.oid, 'EXECUTE')
  OR NOT has_function_privilege(CAST(:role AS name), p.oid, 'EXECUTE'))
""")


def declared(service: str) -> Grants:
    """Return what a service's own role, its customers' and the reader may do with the tables of its database."""
    return frozenset(grant for table in _tables(service) for grant in _of(table, service))


def _tables(service: str) -> Iterator[Table]:
    yield from of_the_backbone.tables.values()
    own = f"services.{service}"
    try:
        module = import_module(f"{own}.tables")
    except ModuleNotFoundError as error:
        if error.name not in (own, f"{own}.tables"):
            raise
        return  # it has none
    yield from module.metadata.tables.values()


def _of(table: Table, service: str) -> Iterator[tuple[str, str, str]]:
    for privilege in _privileges(table):
        yield table.name, service, privilege
    if not table.info.get("secret"):
        yield table.name, READER, "SELECT"
    for privilege in table.info.get("customers", ()):
        yield table.name, customers_of(service), privilege


def _privileges(table: Table) -> tuple[str, ...]:
    if table.info.get("read_only"):
        return READING
    return ADDING if table.info.get("append_only") else CHANGING


def bring_up_to_date(service: str, connection: Connection) -> None:
    """Grant what is declared and not granted, revoke what is granted and not declared: as the owner, in a transaction.

    Tables that this code does not know belong to a newer release, which may be running: they are left alone.
    """
    there, granted = set(), set()
    for row in connection.execute(_TABLES):
        there.add(row.name)
        granted.add((row.name, row.role, row.privilege))
    wanted = frozenset(each for each in declared(service) if each[0] in there)
    known, ours = {name for name, _, _ in wanted}, {service, customers_of(service), READER, EVERYBODY}
    surplus = {each for each in granted if each[0] in known and each[1] in ours} - wanted
    for said in (*_said("REVOKE", "FROM", surplus), *_said("GRANT", "TO", wanted - granted)):
        connection.exec_driver_sql(said)
    walls = policies(service)
    for row in connection.execute(_WALLS).all():
        if row.name in known:
            _wall_off(connection, row, walls.get(row.name, {}))
    for row in connection.execute(_FUNCTIONS, {"role": service}).all():
        connection.exec_driver_sql(f"REVOKE ALL ON FUNCTION {row.name} FROM PUBLIC")
        connection.exec_driver_sql(f'GRANT EXECUTE ON FUNCTION {row.name} TO "{service}"')


def policies(service: str) -> Mapping[str, Mapping[str, str]]:
    """Return who sees and changes which rows, by table and policy, of tables in which not everybody sees all.

    A policy is called after what it says: Postgres words it anew, so that nobody could tell whether it is the same.
    """
    return {
        table.name: {
            f"{who}_{sha256(said.encode()).hexdigest()[:12]}": said
            for who, said in (
                ("all", f'TO "{service}", "{READER}" USING (true)'),
                ("own", f'TO "{customers_of(service)}" USING ({table.info["whose"]} = {ASKING})'),
            )
        }
        for table in _tables(service)
        if "whose" in table.info
    }


def _wall_off(connection: Connection, there: Row[Any], wanted: Mapping[str, str]) -> None:
    """Make policies that are wanted and not there, drop what is there and not wanted; a lock is taken for no less."""
    table = f'public."{there.name}"'
    for name in sorted(set(there.policies) - wanted.keys()):
        connection.exec_driver_sql(f'DROP POLICY "{name}" ON {table}')
    for name in sorted(wanted.keys() - set(there.policies)):
        connection.exec_driver_sql(f'CREATE POLICY "{name}" ON {table} {wanted[name]}')
    if there.is_walled != bool(wanted):
        connection.exec_driver_sql(f"ALTER TABLE {table} {'ENABLE' if wanted else 'DISABLE'} ROW LEVEL SECURITY")


def _said(verb: str, preposition: str, grants: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Write one statement for all tables with which a role may do the same."""
    privileges: Mapping[tuple[str, str], set[str]] = defaultdict(set)
    for name, role, privilege in grants:
        privileges[role, name].add(privilege)
    tables: Mapping[tuple[str, str], list[str]] = defaultdict(list)
    for (role, name), several in sorted(privileges.items()):
        tables[role, ", ".join(sorted(several))].append(f'public."{name}"')
    for (role, listed), names in tables.items():
        whom = "PUBLIC" if role == EVERYBODY else f'"{role}"'
        yield f"{verb} {listed} ON {', '.join(names)} {preposition} {whom}"
