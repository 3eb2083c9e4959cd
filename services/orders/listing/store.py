"""Reads lists of orders, and counts them, by an index each: of a million it looks at those that are wanted alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, literal_column, or_, select, tuple_, union_all

from backbone.ids import first_id_of
from backbone.storage.database import Database
from services.orders.expecting import Limit
from services.orders.order import Order, Status
from services.orders.store import order_of
from services.orders.tables import orders

O = orders.c  # noqa: E741  as the others' tables are called
MOST = 10_000
"""Orders that are counted; where there are more, one more is."""
SKEW = timedelta(hours=1)
"""So far may the clock of a process, which an order's id is from, be off the database's, which `placed_at` is from."""
_BAKED: ColumnElement[Any] = literal_column("""'[{"baked": true}]'::jsonb""")
Place = tuple[datetime, str]
"""Where a late order stands in their list: since when it stands where it stands, and its id."""


@dataclass(frozen=True)
class Filters:
    """Says which orders are wanted; None is any. `since` is the first moment of placing, `until` the first after."""

    status: Status | None = None
    customer: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    newer_than: str | None = None
    """The id of an order that is placed before them all."""


async def list_newest(database: Database, filters: Filters, before: str | None, most: int) -> list[Order]:
    """Return the orders that are wanted, the newest first, those older than one if its id is given."""
    query = _only(select(orders), filters).order_by(O.id.desc()).limit(most)
    return await _fetch(database, query if before is None else query.where(O.id < before))


async def list_late(
    database: Database, filters: Filters, limits: Sequence[Limit], after: Place | None, most: int
) -> list[Order]:
    """Return those that are later than their limit where they stand, the longest first, from a place on."""
    branches = []
    for query in _late(select(orders), database.now(), filters, limits):
        rest = query if after is None else query.where(tuple_(O.stepped_at, O.id) > after)
        branches.append(rest.order_by(O.stepped_at, O.id).limit(most).subquery().select())
    if not branches:
        return []
    late = union_all(*branches).subquery()
    return await _fetch(database, select(late).order_by(late.c.stepped_at, late.c.id).limit(most))


async def count(database: Database, filters: Filters) -> int:
    """Count the orders that are wanted, up to one more than MOST."""
    return await _count(database, _only(select(O.id), filters))


async def count_late(database: Database, filters: Filters, limits: Sequence[Limit]) -> int:
    """Count those that are later than their limit where they stand, up to one more than MOST."""
    queries = _late(select(O.id), database.now(), filters, limits)
    branches = [query.limit(MOST + 1).subquery().select() for query in queries]
    return await _count(database, union_all(*branches).subquery().select()) if branches else 0


async def _count(database: Database, query: Select[Any]) -> int:
    counted = select(func.count()).select_from(query.limit(MOST + 1).subquery())
    async with database.reading() as connection:
        return int((await connection.execute(counted)).scalar_one())


async def _fetch(database: Database, query: Select[Any]) -> list[Order]:
    async with database.reading() as connection:
        return [order_of(row) for row in (await connection.execute(query)).mappings()]


def _only(query: Select[Any], filters: Filters) -> Select[Any]:
    """Ask for what is wanted. Ids are sorted by time: beside a moment they say where in the index to begin and end."""
    if filters.status is not None:
        query = query.where(O.status == filters.status)
    if filters.customer is not None:
        query = query.where(O.customer_id == filters.customer)
    if filters.since is not None:
        query = query.where(O.placed_at >= filters.since, O.id >= first_id_of(filters.since, -SKEW))
    if filters.until is not None:
        query = query.where(O.placed_at < filters.until, O.id < first_id_of(filters.until, SKEW))
    if filters.newer_than is not None:
        query = query.where(O.id > filters.newer_than)
    return query


def _late(query: Select[Any], now: datetime, filters: Filters, limits: Sequence[Limit]) -> Iterator[Select[Any]]:
    """Yield a query for each status in which an order can be late: so each is a walk along one index."""
    for status, kinds in groupby(limits, key=lambda each: each.status):
        if filters.status in (None, status):
            # The status is written out, or Postgres would not know that the index of open orders has all of it.
            in_status = query.where(O.status == literal(status.value, literal_execute=True))
            yield _only(in_status, filters).where(_beyond(list(kinds), now))


def _beyond(kinds: Sequence[Limit], now: datetime) -> ColumnElement[bool]:
    """Say that an order stands where it stands for longer than one of its kind may."""
    soonest = O.stepped_at < now - min(each.longest for each in kinds)
    if len({each.longest for each in kinds}) == 1:
        return soonest
    return and_(soonest, or_(*(and_(_is_of(each), O.stepped_at < now - each.longest) for each in kinds)))


def _is_of(kind: Limit) -> ColumnElement[bool]:
    is_baked = O.lines.contains(_BAKED)
    return and_(O.fulfilment == kind.fulfilment, is_baked if kind.is_baked else ~is_baked)
