"""Writes SQL by name: the numbers that Postgres wants are made from a statement's names once, at import.

What may stand in its text, beside SQL:

    :order          an argument, wherever and as often as it is needed
    :t.*            what a SELECT names: `t.order_id, t.status, …`, of the table or the rows given as `t`
    :t.columns      the same without the `t.`, for `INSERT INTO tickets (…)`

and of rows given as `new`, which are sent as one array for each column:

    :new            `unnest($1::text[], …) AS new(order_id, status, …)`, for a FROM
    :new.numbered   the same with their `ordinal`, to sort by: Postgres promises no order without
    :new.changes    `status = new.status, …`, all but the key, for an UPDATE
    :new.excluded   `status = excluded.status, …`, all but the key, for ON CONFLICT DO UPDATE
    :new.status     the array of one column

A `column("start", BigInteger)` of no table is sent with the others, and stands in none of the lists.

So columns are listed where their table is described, and a new one is named by whoever reads or sets it. What a
statement returns is named column by column all the same: a plan that returns "all" is void once a migration adds one.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from operator import attrgetter, itemgetter
from typing import Any, Protocol

import asyncpg
from sqlalchemy import ARRAY, JSON, ColumnElement, Table
from sqlalchemy import Column as TableColumn
from sqlalchemy.dialects import postgresql

Column = ColumnElement[Any]
Get = Callable[[Any], Any]

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_TOKEN = re.compile(
    r"""
    --[^\n]* | /\*.*?\*/                                        # a colon in a comment is none of ours,
    | \b[eE]'(?:[^'\\]|\\.|'')*' | '[^']*' | "[^"]*" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$         # nor in a literal,
    | ::                                                        # nor in a cast,
    | (?<![\w)\]]):(?P<name>[A-Za-z_]\w*)(?:\.(?P<part>\*|[A-Za-z_]\w*))?                      # nor in a slice
    """,
    re.VERBOSE | re.DOTALL,
)


class Session(Protocol):
    """Is asked for rows: a connection, or a database for a statement that commits by itself."""

    def fetch(self, query: str, /, *arguments: Any) -> Awaitable[list[asyncpg.Record]]:
        """Return the rows of a statement."""


class Rows:
    """Describes many rows of the same columns; `gets` has, for each column, what takes its value from an item."""

    def __init__(self, columns: Iterable[Column], gets: Iterable[Get]) -> None:
        self.columns = tuple(columns)
        self.of_table = [column for column in self.columns if isinstance(column, TableColumn)]
        self._types = [_type_of(column) for column in self.columns]
        self._gets = tuple(gets)

    def arrays(self, given: Iterable[Any]) -> list[list[Any]]:
        """Return one array for each column."""
        items = list(given)
        return [list(map(get, items)) for get in self._gets]

    def array(self, number: int, at: int) -> str:
        """Write the parameter that is a column's array; `number` is that of the first column's."""
        return f"${number + at}::{'text' if _is_sent_as_text(self.columns[at]) else self._types[at]}[]"

    def unnested(self, name: str, number: int, *, numbered: bool = False) -> str:
        """Write the FROM item in which these rows are called `name`."""
        arrays = ", ".join(self.array(number, at) for at in range(len(self.columns)))
        names = ", ".join([*map(_quoted, self.columns), *(["ordinal"] if numbered else [])])
        unnest = f"unnest({arrays}){' WITH ORDINALITY' if numbered else ''}"
        if not any(map(_is_sent_as_text, self.columns)):
            return f"{unnest} AS {name}({names})"
        read = [self._read(at) for at in range(len(self.columns))] + (["ordinal"] if numbered else [])
        return f"(SELECT {', '.join(read)} FROM {unnest} AS sent({names})) AS {name}"  # noqa: S608  columns' names

    def changes(self, source: str) -> str:
        """Write the assignments that set all columns but the key's as in `source`."""
        changing = [_quoted(column) for column in self.of_table if not column.primary_key]
        return ", ".join(f"{name} = {source}.{name}" for name in changing)

    def _read(self, at: int) -> str:
        name = _quoted(self.columns[at])
        return f"{name}::{self._types[at]} AS {name}" if _is_sent_as_text(self.columns[at]) else name


def rows(*columns: Table | Column, without: Collection[str] = (), within: str = "", **sources: str | Get) -> Rows:
    """Describe rows given as objects: each column's value is an attribute of its name, or what `sources` says.

    `sources` names an attribute ("order", "total.amount") or computes the value; all others are attributes of the one
    that `within` names. A table stands for its columns but those named in `without`. What Postgres has no arrays of is
    sent as text: JSON, and arrays like "{a,b}". Raises TypeError for a column that is not there.
    """
    prefix = f"{within}." if within else ""
    chosen = [column for column in _flat(columns) if column.key not in without]
    if unknown := (sources.keys() | set(without)) - {column.key for column in _flat(columns)}:
        raise TypeError(f"There is no column {', '.join(sorted(unknown))} among those of these rows")
    paths = [sources.get(str(column.key), f"{prefix}{column.key}") for column in chosen]
    return Rows(chosen, (attrgetter(path) if isinstance(path, str) else path for path in paths))


def tuples(*columns: Table | Column) -> Rows:
    """Describe rows given as tuples, with a value for each column in this order."""
    chosen = _flat(columns)
    return Rows(chosen, map(itemgetter, range(len(chosen))))


class Statement:
    """Is one statement; its arguments are given by name. Raises TypeError for one that is missing or unknown."""

    def __init__(self, text: str, /, **named: Table | Rows) -> None:
        if unknown := named.keys() - {token["name"] for token in _TOKEN.finditer(text)}:
            raise TypeError(f"The statement does not name {', '.join(sorted(unknown))}")
        self._named = named
        self._numbers: dict[str, int] = {}
        self._takes: dict[str, Callable[[Any], Iterable[Any]]] = {}
        self._next = 1
        self.text = _TOKEN.sub(self._written, text)

    async def fetch(self, session: Session, /, **given: Any) -> list[asyncpg.Record]:
        """Run it and return its rows."""
        return await session.fetch(self.text, *self.arguments(given))

    async def fetchrow(self, connection: asyncpg.Connection[Any], /, **given: Any) -> asyncpg.Record | None:
        """Run it and return its first row; None without one."""
        row: asyncpg.Record | None = await connection.fetchrow(self.text, *self.arguments(given))
        return row

    async def fetchval(self, connection: asyncpg.Connection[Any], /, **given: Any) -> Any:
        """Run it and return the first value of its first row; None without one."""
        return await connection.fetchval(self.text, *self.arguments(given))

    async def execute(self, connection: asyncpg.Connection[Any], /, **given: Any) -> int:
        """Run an INSERT, UPDATE, DELETE or SELECT; return how many rows it has written, deleted or found."""
        said = await connection.execute(self.text, *self.arguments(given))
        return int(said.rpartition(" ")[2])  # "UPDATE 3", "INSERT 0 3"

    async def execute_exactly(self, connection: asyncpg.Connection[Any], count: int, /, **given: Any) -> None:
        """Run a statement that leaves out rows which are not what was read; it has to write so many.

        Raises SerializationError, which passes: what it left out has to be read and decided again.
        """
        if await self.execute(connection, **given) != count:
            raise asyncpg.SerializationError("Somebody else has written one of these rows at the same moment.")

    def arguments(self, given: Mapping[str, Any]) -> list[Any]:
        """Return the arguments given by name in the order of their numbers."""
        if given.keys() != self._takes.keys():
            raise TypeError(self._objection(given))
        return [argument for name, takes in self._takes.items() for argument in takes(given[name])]

    def _objection(self, given: Mapping[str, Any]) -> str:
        missing, unknown = self._takes.keys() - given.keys(), given.keys() - self._takes.keys()
        said = [
            f"{what} {', '.join(sorted(names))}" for what, names in (("needs", missing), ("has no", unknown)) if names
        ]
        return f"This statement {' and '.join(said)}: {' '.join(self.text.split())[:80]}"

    def _written(self, token: re.Match[str]) -> str:
        name, part = token["name"], token["part"]
        if name is None:
            return token[0]
        named = self._named.get(name)
        if isinstance(named, Rows):
            return self._of_rows(name, part, named)
        if isinstance(named, Table):
            return _of_columns(name, part, named.columns)
        if part is not None:
            raise TypeError(f":{name}.{part} is of no table and no rows that were given")
        return f"${self._number(name, _alone, 1)}"

    def _of_rows(self, name: str, part: str | None, rows: Rows) -> str:
        keys = [column.key for column in rows.columns]
        match part:
            case None | "numbered":
                return rows.unnested(name, self._number(name, rows.arrays, len(keys)), numbered=part is not None)
            case _ if part in keys:
                return rows.array(self._number(name, rows.arrays, len(keys)), keys.index(part))
            case "changes" | "excluded":
                return rows.changes(name if part == "changes" else part)
        return _of_columns(name, part, rows.of_table)

    def _number(self, name: str, takes: Callable[[Any], Iterable[Any]], count: int) -> int:
        """Return the number of the argument of this name, or of the first of its several arrays."""
        if name not in self._numbers:
            self._numbers[name], self._takes[name] = self._next, takes
            self._next += count
        return self._numbers[name]


def _of_columns(name: str, part: str | None, columns: Iterable[Column]) -> str:
    match part:
        case "*":
            return ", ".join(f"{name}.{_quoted(each)}" for each in columns)
        case "columns":
            return ", ".join(map(_quoted, columns))
    raise TypeError(f"{name} has no column {part}")


def _alone(argument: Any) -> tuple[Any]:
    return (argument,)


def _flat(given: Iterable[Table | Column]) -> list[Column]:
    return [column for each in given for column in (each.columns if isinstance(each, Table) else (each,))]


def _quoted(column: Column) -> str:
    return _DIALECT.identifier_preparer.quote(str(column.key))


def _type_of(column: Column) -> str:
    """Name a column's type in Postgres, without its collation: a value that is sent has none."""
    return str(column.type.compile(dialect=_DIALECT)).partition(" COLLATE")[0].lower()


def _is_sent_as_text(column: Column) -> bool:
    return isinstance(column.type, JSON | ARRAY)
