"""The alerts in the database: one for each SKU and kind, active or past."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Select, select, tuple_

from backbone.http import Page
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Statement, rows
from services.alerts.decisions import Alert, Alerts
from services.alerts.events import Kind
from services.alerts.tables import alerts

_LOCK_ALL = Statement(
    "SELECT :a.* FROM alerts AS a WHERE sku = ANY(:skus) ORDER BY sku, kind FOR UPDATE",
    a=alerts,
)
_SAVE_ALL = Statement(
    """
    INSERT INTO alerts (:new.columns) SELECT :new.* FROM :new
    ON CONFLICT (sku, kind) DO UPDATE SET :new.excluded
    """,
    new=rows(alerts),
)


async def lock_all(tx: Tx, skus: Collection[str]) -> dict[str, Alerts]:
    """Lock all alerts about these SKUs in sorted order until the transaction ends, and return them by SKU."""
    found: dict[str, dict[Kind, Alert]] = {sku: {} for sku in skus}
    for row in await _LOCK_ALL.fetch(tx.raw, skus=list(skus)):
        found[row["sku"]][row["kind"]] = Alert(**row)
    return dict(found)


async def save_all(tx: Tx, changed: Sequence[Alert]) -> None:
    """Write alerts that are new or locked."""
    if changed:
        await _SAVE_ALL.execute(tx.raw, new=changed)


async def list_page(database: Database, page: Page, active: bool | None) -> list[Alert]:
    """Return the alerts of a page, by SKU and kind.

    With `active`, it returns only those that are active, or only those that are not.
    """
    query: Select[Any] = select(alerts).order_by(alerts.c.sku, alerts.c.kind).limit(page.limit + 1)
    if active is not None:
        query = query.where(alerts.c.active if active else ~alerts.c.active)
    if page.after is not None:
        sku, _, kind = page.after.partition(" ")
        query = query.where(tuple_(alerts.c.sku, alerts.c.kind) > tuple_(sku, kind))
    async with database.reading() as connection:
        return [Alert(**row) for row in (await connection.execute(query)).mappings()]
