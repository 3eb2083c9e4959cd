"""Reminders in the database."""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from backbone.storage.database import Tx
from backbone.storage.statement import Session, Statement, rows
from services.reminders.decisions import Reminder
from services.reminders.tables import reminders

_LOCK_ALL = Statement(
    "SELECT :r.* FROM reminders AS r WHERE cart = ANY(:carts::text[]) ORDER BY cart FOR UPDATE", r=reminders
)
_FIND = Statement("SELECT :r.* FROM reminders AS r WHERE cart = :cart", r=reminders)
_SAVE_ALL = Statement(
    """
    INSERT INTO reminders (:new.columns) SELECT :new.* FROM :new
    ON CONFLICT (cart) DO UPDATE SET :new.excluded
    """,
    new=rows(
        reminders,
        lines=lambda reminder: msgspec.json.encode(reminder.lines).decode(),
        customer=lambda reminder: msgspec.json.encode(reminder.customer).decode() if reminder.customer else None,
    ),
)


async def lock_all(tx: Tx, carts: Iterable[str]) -> dict[str, Reminder]:
    """Return what is known of these carts, locked in sorted order until the transaction ends.

    Those of which nothing is known are left out.
    """
    found = await _LOCK_ALL.fetch(tx.raw, carts=list(carts))
    return {row["cart"]: _reminder(row) for row in found}


async def save_all(tx: Tx, changed: Collection[Reminder]) -> None:
    """Write reminders that are new or locked."""
    if changed:
        await _SAVE_ALL.execute(tx.raw, new=changed)


async def find(session: Session, cart: str) -> Reminder | None:
    """Return what is known of a cart; None where nothing is."""
    found = await _FIND.fetch(session, cart=cart)
    return _reminder(found[0]) if found else None


def _reminder(row: Any) -> Reminder:
    return msgspec.convert(dict(row), Reminder)
