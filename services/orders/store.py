"""Orders, their timelines and the menu in the database."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import exists, select

from backbone.events.payload import Cause
from backbone.http import Page
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Session, Statement, rows, tuples
from services.orders.decisions import Decision
from services.orders.events import Customer, Line, Money
from services.orders.menu import MenuItem
from services.orders.order import Entry, Fact, Order, Refund, Status
from services.orders.tables import menu, orders, refunds, shortages, timeline

R = refunds.c


class TimelineEntry(NamedTuple):
    """Holds a line of the timeline, with its order's id."""

    order: str
    entry: Entry


class Placed(NamedTuple):
    """Holds a new order, with what all events about it will have in common."""

    order: Order
    correlationid: str


class Story(NamedTuple):
    """Holds an order with its timeline and its refunds."""

    order: Order
    entries: Sequence[Entry]
    refunds: Sequence[Refund]


class Newer(NamedTuple):
    """Holds an order's story, and how long the order has stood where it stands."""

    story: Story
    since: timedelta


class _Refund(NamedTuple):
    order: str
    refund: Refund


def _facts(order: Order) -> str:
    """Write an order's facts in braces, as Postgres writes arrays.

    Postgres has no arrays of arrays of different lengths.
    """
    return f"{{{','.join(sorted(order.facts))}}}"


_ENTRIES = rows(timeline, without=("position",), within="entry", order_id="order")

# Rows are locked in sorted order, so that two batches never wait for each other in a ring.
_LOCK_ALL = Statement("SELECT :o.* FROM orders AS o WHERE id = ANY(:ids) ORDER BY id FOR UPDATE", o=orders)

# New orders with the beginnings of their timelines, the path of every accepted order. One that is there already (the
# same flush once more, after a commit nobody heard of) is left alone and not returned.
_ADD_ALL = Statement(
    """
    WITH created AS (
      INSERT INTO orders (:placed.columns) SELECT :placed.* FROM :placed ON CONFLICT (id) DO NOTHING RETURNING id
    ), entries AS (
      INSERT INTO timeline (:entry.columns) SELECT :entry.* FROM :entry JOIN created ON created.id = entry.order_id
    )
    SELECT id FROM created
    """,
    placed=rows(
        orders,
        within="order",
        customer_id="order.customer.id",
        customer_name="order.customer.name",
        customer_email="order.customer.email",
        lines=lambda placed: msgspec.json.encode(placed.order.lines).decode(),
        currency="order.total.currency",
        total="order.total.amount",
        facts=lambda placed: _facts(placed.order),
        correlationid="correlationid",
    ),
    entry=_ENTRIES,
)

# What can change of many orders, and their new entries in the order given.
_SAVE_ALL = Statement(
    """
    WITH entries AS (INSERT INTO timeline (:entry.columns) SELECT :entry.* FROM :entry)
    UPDATE orders AS o SET :row.changes FROM :row WHERE o.id = row.id
    """,
    entry=_ENTRIES,
    row=rows(
        orders.c.id,
        orders.c.status,
        orders.c.reason,
        orders.c.facts,
        orders.c.stepped_at,
        orders.c.delayed,
        orders.c.version,
        facts=_facts,
    ),
)
_ADD_ENTRIES = Statement("INSERT INTO timeline (:entry.columns) SELECT :entry.* FROM :entry", entry=_ENTRIES)

# One statement, so that the order, its timeline and its refunds are of the same moment.
_TIMELINE = "(SELECT json_agg(t ORDER BY t.position) FROM timeline AS t WHERE t.order_id = o.id) AS timeline"
_REFUNDS = "(SELECT json_agg(r ORDER BY r.id) FROM refunds AS r WHERE r.order_id = o.id) AS refunds"
_FIND = Statement(f"SELECT :o.*, {_TIMELINE}, {_REFUNDS} FROM orders AS o WHERE o.id = :id", o=orders)  # noqa: S608  our own text
_LIST_NEWER = Statement(
    f"""
    SELECT :o.*, {_TIMELINE}, {_REFUNDS}, clock_timestamp() - o.stepped_at AS since
    FROM unnest(:ids::text[], :versions::int[]) AS seen(id, version)
    JOIN orders AS o ON o.id = seen.id AND o.version > seen.version LIMIT :most
    """,  # noqa: S608  our own text
    o=orders,
)

_ADD_REFUNDS = Statement(
    "INSERT INTO refunds (:new.columns) SELECT :new.* FROM :new",
    new=rows(
        refunds,
        within="refund",
        order_id="order",
        amount="refund.amount.amount",
        currency="refund.amount.currency",
    ),
)
# One that has ended stays as it is.
_SETTLE_REFUNDS = Statement(
    """
    UPDATE refunds AS r SET status = row.status, failure = row.failure, settled_at = row.settled_at
    FROM :row WHERE r.order_id = row.order_id AND r.id = row.id AND r.status = 'requested'
    """,
    row=rows(R.order_id, R.id, R.status, R.failure, R.settled_at, order_id="order"),
)
_LIST_REFUNDS = Statement("SELECT :r.* FROM refunds AS r WHERE order_id = :order ORDER BY id", r=refunds)

_ITEM = rows(menu, price="unit_price.amount")
_OUT_OF_STOCK = "EXISTS (SELECT FROM shortages WHERE shortages.item = m.item) AS out_of_stock"
_FIND_ITEM = Statement(f"SELECT :m.*, {_OUT_OF_STOCK} FROM menu AS m WHERE item = :item", m=menu)  # noqa: S608  our own
_LOCK_ITEM = Statement(f"SELECT :m.*, {_OUT_OF_STOCK} FROM menu AS m WHERE item = :item FOR UPDATE OF m", m=menu)  # noqa: S608
# One that is on the menu already is left alone, and then nothing is written.
_ADD_ITEM = Statement(
    """
    INSERT INTO menu (:new.columns) SELECT :new.* FROM :new
    ON CONFLICT (item) DO UPDATE SET :new.excluded WHERE menu.retired
    """,
    new=_ITEM,
)
_SAVE_ITEM = Statement("UPDATE menu SET :new.changes FROM :new WHERE menu.item = new.item", new=_ITEM)

_ADD_SHORTAGES = Statement(
    "INSERT INTO shortages (:new.columns) SELECT :new.* FROM :new ON CONFLICT DO NOTHING", new=tuples(shortages)
)
_DROP_SHORTAGES = Statement(
    "DELETE FROM shortages USING :old WHERE shortages.item = old.item AND shortages.sku = old.sku",
    old=tuples(shortages),
)


async def lock(tx: Tx, order: str) -> Order | None:
    """Return an order, locked until the transaction ends, or None."""
    return (await lock_all(tx, [order])).get(order)


async def lock_all(tx: Tx, ids: Iterable[str]) -> dict[str, Order]:
    """Return the orders of these ids, locked in sorted order until the transaction ends.

    Those that do not exist are left out.
    """
    found = await _LOCK_ALL.fetch(tx.raw, ids=sorted(set(ids)))
    return {row["id"]: order_of(row) for row in found}


async def add_all(tx: Tx, decided: Sequence[tuple[Decision, Cause]]) -> set[str]:
    """Write new orders with the beginnings of their timelines.

    Returns the ids of those that were not there yet.
    """
    placed = [Placed(decision.state, cause.correlationid) for decision, cause in decided]
    created = await _ADD_ALL.fetch(tx.raw, placed=placed, entry=_new_entries(decision for decision, _ in decided))
    return {row["id"] for row in created}


async def save_all(tx: Tx, decided: Iterable[Decision]) -> None:
    """Write locked orders as they are after these decisions, with the new lines of their timelines, and their refunds.

    Of several about one order the last counts; one that leaves no line has changed nothing.
    """
    telling = [decision for decision in decided if decision.entries]
    if changed := {decision.state.id: decision.state for decision in telling}:
        await _SAVE_ALL.execute(tx.raw, row=changed.values(), entry=_new_entries(telling))
    if asked := [_Refund(each.state.id, refund) for each in telling for refund in each.refunds]:
        await _ADD_REFUNDS.execute(tx.raw, new=asked)
    if settled := [settlement for each in telling for settlement in each.settled]:
        await _SETTLE_REFUNDS.execute(tx.raw, row=settled)


async def add_entries(tx: Tx, entries: Sequence[TimelineEntry]) -> None:
    """Write lines of timelines alone: those of orders that are not known."""
    if entries:
        await _ADD_ENTRIES.execute(tx.raw, entry=entries)


async def list_refunds(tx: Tx, order: str) -> list[Refund]:
    """Return the refunds of a locked order, the oldest first."""
    return [_refund(row) for row in await _LIST_REFUNDS.fetch(tx.raw, order=order)]


async def find(session: Session, order: str) -> Story | None:
    """Return an order with its timeline and its refunds, or None."""
    found = await _FIND.fetch(session, id=order)
    return _story(found[0]) if found else None


async def list_newer(database: Database, seen: Mapping[str, int], most: int) -> list[Newer]:
    """Return those of these orders that are of a newer version than was seen, at most `most`."""
    ids, versions = list(seen), list(seen.values())
    found = await _LIST_NEWER.fetch(database, ids=ids, versions=versions, most=most)
    return [Newer(_story(row), row["since"]) for row in found]


async def list_menu(
    database: Database, currency: str, page: Page | None = None, *, hidden: bool = True
) -> list[MenuItem]:
    """Return the menu, or a page of it, by item; what is `hidden` is left out where that is False."""
    is_short = exists().where(shortages.c.item == menu.c.item).label("out_of_stock")
    query = select(menu, is_short).where(~menu.c.retired).order_by(menu.c.item)
    if not hidden:
        query = query.where(~menu.c.hidden)
    if page:
        query = query.limit(page.limit + 1)
        query = query.where(menu.c.item > page.after) if page.after else query
    async with database.reading() as connection:
        return [_item(row, currency) for row in (await connection.execute(query)).mappings()]


async def find_item(session: Session, item: str, currency: str) -> MenuItem | None:
    """Return an item, also one that is hidden or retired, or None."""
    found = await _FIND_ITEM.fetch(session, item=item)
    return _item(found[0], currency) if found else None


async def lock_item(tx: Tx, item: str, currency: str) -> MenuItem | None:
    """Return an item, locked until the transaction ends, or None."""
    found = await _LOCK_ITEM.fetch(tx.raw, item=item)
    return _item(found[0], currency) if found else None


async def add_item(tx: Tx, item: MenuItem) -> bool:
    """Write an item that is not on the menu; return whether it was not."""
    return bool(await _ADD_ITEM.execute(tx.raw, new=[item]))


async def save_item(tx: Tx, item: MenuItem) -> None:
    """Write an item as it is now. `lock_item` has locked its row."""
    await _SAVE_ITEM.execute(tx.raw, new=[item])


async def save_shortages(tx: Tx, short: Mapping[tuple[str, str], bool]) -> None:
    """Write whether one more piece of an item can be made, as far as a SKU goes, by item and SKU."""
    changed = sorted(short)
    if new := [each for each in changed if short[each]]:
        await _ADD_SHORTAGES.execute(tx.raw, new=new)
    if old := [each for each in changed if not short[each]]:
        await _DROP_SHORTAGES.execute(tx.raw, old=old)


def _new_entries(decided: Iterable[Decision]) -> list[TimelineEntry]:
    return [TimelineEntry(decision.state.id, entry) for decision in decided for entry in decision.entries]


def order_of(row: Any) -> Order:
    """Read an order from its row."""
    return Order(
        id=row["id"],
        customer=Customer(row["customer_id"], row["customer_name"], row["customer_email"]),
        fulfilment=row["fulfilment"],
        address=row["address"],
        lines=msgspec.convert(row["lines"], tuple[Line, ...]),
        total=Money(row["total"], row["currency"]),
        status=Status(row["status"]),
        reason=row["reason"],
        facts=frozenset(map(Fact, row["facts"])),
        placed_at=row["placed_at"],
        stepped_at=row["stepped_at"],
        delayed=row["delayed"],
        version=row["version"],
        correlationid=row["correlationid"],
    )


def _item(row: Any, currency: str) -> MenuItem:
    return MenuItem(
        item=row["item"],
        name=row["name"],
        unit_price=Money(row["price"], currency),
        baked=row["baked"],
        description=row["description"],
        category=row["category"],
        hidden=row["hidden"],
        sold_out=row["sold_out"],
        back_orderable=row["back_orderable"],
        out_of_stock=row["out_of_stock"],
        retired=row["retired"],
    )


def _story(row: Any) -> Story:
    entries = msgspec.convert(row["timeline"], list[Entry])
    return Story(order_of(row), entries, [_refund(each) for each in row["refunds"] or ()])


def _refund(row: Any) -> Refund:
    fields = {name: row[name] for name in ("id", "reason", "by", "status", "requested_at", "settled_at", "failure")}
    return msgspec.convert(fields | {"amount": {"amount": row["amount"], "currency": row["currency"]}}, Refund)
