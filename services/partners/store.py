"""Partners in the database, and what was received of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select

from backbone.http import Page
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Session, Statement, rows
from services.partners.signatures import Style
from services.partners.tables import partners

_FIND = Statement("SELECT :p.* FROM partners AS p WHERE name = :name", p=partners)
_LOCK = Statement("SELECT :p.* FROM partners AS p WHERE name = :name FOR UPDATE", p=partners)
_SAVE = Statement(
    "INSERT INTO partners (:new.columns) SELECT :new.* FROM :new ON CONFLICT (name) DO UPDATE SET :new.excluded",
    new=rows(partners, contract=lambda partner: msgspec.json.encode(partner.contract).decode()),
)
_DELETE = Statement("DELETE FROM partners WHERE name = :name")
_RECEIVE = Statement(
    """
    INSERT INTO received (partner, id, received_at) VALUES (:partner, :id, :now)
    ON CONFLICT (partner, id) DO NOTHING
    """
)


class Partner(msgspec.Struct, frozen=True, kw_only=True):
    """Describes who may tell us something, and how it is signed."""

    name: str
    style: Style
    secret: str
    old_secret: str | None = None
    old_secret_until: datetime | None = None
    contract: Mapping[str, Any]

    def valid_secrets(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets by which something may be signed now, the newest first."""
        if self.old_secret and self.old_secret_until and now < self.old_secret_until:
            return self.secret, self.old_secret
        return (self.secret,)


async def find(session: Session, name: str) -> Partner | None:
    """Return a partner, or None."""
    found = await _FIND.fetch(session, name=name)
    return _partner(**found[0]) if found else None


async def lock(tx: Tx, name: str) -> Partner | None:
    """Return a partner, locked until the transaction ends, or None."""
    row = await _LOCK.fetchrow(tx.raw, name=name)
    return _partner(**row) if row else None


async def save(tx: Tx, partner: Partner) -> None:
    """Write a partner that is new or locked."""
    await _SAVE.execute(tx.raw, new=[partner])


async def delete(tx: Tx, name: str) -> bool:
    """Delete a partner, and what is known of what it sent; tell whether there was one."""
    return bool(await _DELETE.execute(tx.raw, name=name))


async def receive(tx: Tx, partner: str, name: str) -> bool:
    """Note that something was received; tell whether it is new."""
    return bool(await _RECEIVE.execute(tx.raw, partner=partner, id=name, now=tx.now))


async def list_page(database: Database, page: Page) -> list[Partner]:
    """Return a page of partners, by name."""
    query = select(partners).order_by(partners.c.name).limit(page.limit + 1)
    if page.after:
        query = query.where(partners.c.name > page.after)
    async with database.reading() as connection:
        return [_partner(**row) for row in (await connection.execute(query)).mappings()]


def _partner(style: str, **known: Any) -> Partner:
    return Partner(style=Style(style), **known)
