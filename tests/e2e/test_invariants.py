"""The checks of `assert_sound` notice what they are there for: real books, each spoilt in one way."""

from collections.abc import Callable
from dataclasses import replace

from tests.books import Books, read_books
from tests.invariants import assert_sound, broken_promises
from tests.system import Shop

Spoil = Callable[[Books, str, str], None]


async def test_every_broken_promise_is_noticed(shop: Shop) -> None:
    kept = await shop.place({"water": 2})
    await shop.complete(kept)
    await shop.refund(kept, 150)
    undone = await shop.place({"water": 1})
    await shop.wait_for_status(undone, "confirmed")
    await shop.cancel(undone)
    await assert_sound(shop)
    books = await read_books(shop)
    assert not list(broken_promises(books, shop.spoilt))

    unnoticed = []
    for name, spoil in SPOILT.items():
        worse = _copy(books)
        spoil(worse, kept, undone)
        if not list(broken_promises(worse, shop.spoilt)):
            unnoticed.append(name)

    assert not unnoticed


def _copy(books: Books) -> Books:
    """Rows and events are replaced, never changed, so their lists are all that must be new."""
    return replace(
        books,
        tables={name: list(rows) for name, rows in books.tables.items()},
        parked_events=list(books.parked_events),
        ledger=list(books.ledger),
        mails=list(books.mails),
        topics=[(topic, list(events)) for topic, events in books.topics],
    )


def _set(table: str, which: int, **values: object) -> Spoil:
    """Other values in the row of the completed (0) or the cancelled (1) order."""

    def spoil(books: Books, *orders: str) -> None:
        rows = books.tables[table]
        books.tables[table] = [{**row, **values} if row["id"] == orders[which] else row for row in rows]

    return spoil


def _drop(table: str) -> Spoil:
    def spoil(books: Books, kept: str, _: str) -> None:
        books.tables[table] = [row for row in books.tables[table] if kept not in (row.get("id"), row.get("about"))]

    return spoil


def _twice(table: str) -> Spoil:
    def spoil(books: Books, kept: str, _: str) -> None:
        books.tables[table] += [row for row in books.tables[table] if kept in (row.get("id"), row.get("about"))]

    return spoil


def _one_more_in_stock(books: Books, *_: str) -> None:
    books.tables["stock"] = [{**row, "on_hand": row["on_hand"] + 1} for row in books.tables["stock"]]


def _one_more_reserved(books: Books, *_: str) -> None:
    books.tables["stock"] = [{**row, "reserved": row["reserved"] + 1} for row in books.tables["stock"]]


def _charged_twice(books: Books, kept: str, _: str) -> None:
    books.ledger += [entry for entry in books.ledger if entry["reference"] == kept]


def _never_charged(books: Books, kept: str, _: str) -> None:
    books.ledger = [entry for entry in books.ledger if entry["reference"] != kept]


def _not_refunded(books: Books, _: str, undone: str) -> None:
    books.ledger = [entry for entry in books.ledger if entry["reference"] != undone or entry["kind"] == "charge"]


def _refunded_twice(books: Books, kept: str, _: str) -> None:
    books.ledger += [entry for entry in books.ledger if entry["reference"] == kept and entry["kind"] == "refund"]


def _refund_lost(books: Books, kept: str, _: str) -> None:
    books.ledger = [entry for entry in books.ledger if entry["reference"] != kept or entry["kind"] == "charge"]


def _of_refund(table: str, **values: object) -> Spoil:
    def spoil(books: Books, kept: str, _: str) -> None:
        rows = books.tables[table]
        books.tables[table] = [{**row, **values} if row["order_id"] == kept else row for row in rows]

    return spoil


def _mail_lost(books: Books, *_: str) -> None:
    books.mails.pop(0)


def _event_lost(books: Books, kept: str, _: str) -> None:
    """One of the order's own: of others a test may have spoilt some, for which no promise is checked."""
    lost = next(event.id for _, events in books.topics for event in events if event.partitionkey == kept)
    for _, events in books.topics:
        events[:] = [event for event in events if event.id != lost]


def _events_swapped(books: Books, kept: str, _: str) -> None:
    for _, events in books.topics:
        events.reverse()


def _parked(books: Books, kept: str, _: str) -> None:
    books.parked_events.append(("orders of payments.events", kept, "no"))


SPOILT: dict[str, Spoil] = {
    "left placed": _set("orders", 0, status="placed"),
    "left cancelling": _set("orders", 1, status="cancelling"),
    "confirmed but nobody works on it": _set("orders", 0, status="confirmed"),
    "ended but a button is open": _set("deliveries", 0, status="ready"),
    "stock does not add up": _one_more_in_stock,
    "reserved for nobody": _one_more_reserved,
    "sold and released": _set("reservations", 0, status="released"),
    "cancelled and still reserved": _set("reservations", 1, status="open"),
    "charged twice": _charged_twice,
    "never charged": _never_charged,
    "not refunded": _not_refunded,
    "refunded twice": _refunded_twice,
    "refund lost": _refund_lost,
    "refund of another amount": _of_refund("refunds", amount=151),
    "refund left open": _of_refund("refunds", status="requested"),
    "refund heard of wrongly": _of_refund("asked", status="failed"),
    "payment counts refunds wrongly": _set("payments", 0, given_back=0),
    "payment says otherwise": _set("payments", 1, status="received"),
    "points lost": _drop("points"),
    "points twice": _twice("points"),
    "notification lost": _drop("notifications"),
    "notification twice": _twice("notifications"),
    "mail lost": _mail_lost,
    "event lost": _event_lost,
    "events swapped": _events_swapped,
    "event parked": _parked,
}
