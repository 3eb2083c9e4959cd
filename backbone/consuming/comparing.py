"""Holds a shadow's tables against the live ones, row by row, and puts them in their place.

A row is known by its primary key. Where that has a number which Postgres gives out, rows that share the rest of it are
compared in the order of their numbers, which are not. A time that the shadow took from its clock is not compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from backbone.consuming.shadow import SCHEMA
from backbone.storage.statement import Statement

_COLUMNS = Statement("""
SELECT a.attname AS name, a.attidentity <> '' AS is_numbered, a.atttypid = 'timestamptz'::regtype AS is_time,
       a.attnum = ANY(coalesce(i.indkey::int2[], '{}')) AS is_key
FROM pg_attribute AS a LEFT JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = ('public.' || quote_ident(:name::text))::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
""")
# What the clock of a shadow says, give or take what a handler adds to it.
_FROM_THE_CLOCK = "s.{0} BETWEEN '1980-01-01' AND '2000-01-01'"


@dataclass(frozen=True)
class Difference:
    """Describes one row that is not the same: as it is live, and as it is in the shadow; None where it is not there."""

    table: str
    live: str | None
    shadow: str | None


@dataclass(frozen=True)
class Compared:
    """Holds what was found of a table: rows on both sides, how many are not the same, and the first of those."""

    table: str
    live: int
    shadow: int
    different: int
    first: Sequence[Difference]


@dataclass(frozen=True)
class _Table:
    """Writes the SQL that compares one table."""

    name: str
    columns: Sequence[asyncpg.Record]

    @property
    def quoted(self) -> str:
        return _quoted(self.name)

    @property
    def numbered(self) -> list[str]:
        return [_quoted(each["name"]) for each in self.columns if each["is_numbered"]]

    @property
    def key(self) -> list[str]:
        return [_quoted(each["name"]) for each in self.columns if each["is_key"] and not each["is_numbered"]]

    def matched(self, kind: str = "FULL") -> str:
        """Write the join of live rows with those of the shadow that are the same by key and turn."""
        turn = (
            f"row_number() OVER (PARTITION BY {', '.join(self.key) or '1'} ORDER BY {', '.join(self.numbered)})"
            if self.numbered
            else "1"
        )
        live, shadow = (
            f"(SELECT *, {turn} AS turn_ FROM {schema}.{self.quoted})"  # noqa: S608  names of ours
            for schema in ("public", SCHEMA)
        )
        return f"{live} AS l {kind} JOIN {shadow} AS s USING ({', '.join([*self.key, 'turn_'])})"

    @property
    def is_different(self) -> str:
        """Write the condition under which two rows, of which one may be missing, are not the same."""
        known = "(l.turn_ IS NULL) <> (s.turn_ IS NULL)"
        columns = (each for each in self.columns if not each["is_key"] and not each["is_numbered"])
        return " OR ".join([known, *(self._differs(_quoted(each["name"]), each["is_time"]) for each in columns)])

    @staticmethod
    def _differs(name: str, is_time: bool) -> str:
        if not is_time:
            return f"l.{name} IS DISTINCT FROM s.{name}"
        clock = _FROM_THE_CLOCK.format(name)
        return f"((l.{name} IS NULL) <> (s.{name} IS NULL) OR (l.{name} <> s.{name} AND NOT ({clock})))"

    def row(self, side: str) -> str:
        """Write a row as JSON without its number; NULL where it is missing."""
        pairs = ", ".join(
            f"'{each['name']}', {side}.{_quoted(each['name'])}" for each in self.columns if not each["is_numbered"]
        )
        return f"CASE WHEN {side}.turn_ IS NOT NULL THEN json_build_object({pairs})::text END"

    def lasting(self) -> str:
        """Write the columns of a rebuilt row: a time from the shadow's clock is as it was live, or now."""
        return ", ".join(
            f"CASE WHEN {_FROM_THE_CLOCK.format(_quoted(each['name']))} "
            f"THEN coalesce(l.{_quoted(each['name'])}, now()) ELSE s.{_quoted(each['name'])} END"
            if each["is_time"] and not each["is_key"]
            else f"s.{_quoted(each['name'])}"
            for each in self.columns
        )


async def compare(connection: asyncpg.Connection[Any], name: str, most: int) -> Compared:
    """Compare one table; tell of `most` different rows at most."""
    table = await _table(connection, name)
    join = f"FROM {table.matched()} WHERE {table.is_different}"
    counts = await connection.fetchrow(
        f"SELECT (SELECT count(*) FROM public.{table.quoted}), (SELECT count(*) FROM {SCHEMA}.{table.quoted}), "  # noqa: S608  names of ours
        f"(SELECT count(*) {join})"
    )
    assert counts is not None  # noqa: S101  it counts
    order = ", ".join([*table.key, "turn_"])
    rows = await connection.fetch(
        f"SELECT {table.row('l')} AS live, {table.row('s')} AS shadow {join} ORDER BY {order} LIMIT {most}"
    )
    live, shadow, different = counts
    return Compared(name, live, shadow, different, [Difference(name, row["live"], row["shadow"]) for row in rows])


async def replace(connection: asyncpg.Connection[Any], name: str) -> None:
    """Put a shadow's rows into the place of the live ones, in the caller's transaction."""
    table = await _table(connection, name)
    columns = ", ".join(_quoted(each["name"]) for each in table.columns)
    await connection.execute(
        f"CREATE TEMP TABLE rebuilt ON COMMIT DROP AS SELECT {table.lasting()} FROM {table.matched('RIGHT')}"  # noqa: S608
    )
    await connection.execute(f"DELETE FROM public.{table.quoted}")  # noqa: S608
    await connection.execute(
        f"INSERT INTO public.{table.quoted} ({columns}) OVERRIDING SYSTEM VALUE SELECT * FROM rebuilt"  # noqa: S608
    )
    await connection.execute("DROP TABLE rebuilt")
    for number in table.numbered:
        await connection.execute(
            f"SELECT setval(pg_get_serial_sequence('public.{table.quoted}', '{number[1:-1]}'), "  # noqa: S608
            f"greatest(coalesce(max({number}), 1), nextval(pg_get_serial_sequence('public.{table.quoted}', "
            f"'{number[1:-1]}')))) FROM public.{table.quoted}"
        )


async def _table(connection: asyncpg.Connection[Any], name: str) -> _Table:
    return _Table(name, await _COLUMNS.fetch(connection, name=name))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
