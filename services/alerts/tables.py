"""The alerts of each SKU, active or past: one row per SKU and kind."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from msgspec.structs import astuple

from backbone.storage.database import Tx
from services.alerts.decisions import Alert
from services.alerts.events import Kind

metadata = sa.MetaData()
Name = sa.Text(collation="C")

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("sku", Name, primary_key=True),
    sa.Column("kind", Name, primary_key=True),
    sa.Column("active", sa.Boolean, nullable=False),
    # As they were when it was raised; `available` also when it was cleared.
    sa.Column("available", sa.BigInteger, nullable=False),
    sa.Column("threshold", sa.BigInteger, nullable=False),
    sa.Column("ceiling", sa.BigInteger, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("cleared_at", sa.DateTime(timezone=True)),
    # `available` as it was when raised, whatever came since; null in rows of the first release.
    sa.Column("raised_available", sa.BigInteger),
    # When the shop was told last, until it may be told again; and how often it happened again since.
    sa.Column("quiet_since", sa.DateTime(timezone=True)),
    sa.Column("held", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index("alerts_active", "sku", "kind", postgresql_where=sa.text("active")),
)

_COLUMNS = """sku, kind, active, available, threshold, ceiling, channel, raised_at, cleared_at,
raised_available, quiet_since, held"""

_LOCK_ALL = f"""
SELECT {_COLUMNS} FROM alerts WHERE sku = ANY($1::text[]) ORDER BY sku, kind FOR UPDATE
"""  # noqa: S608 - constants only

_SAVE_ALL = f"""
INSERT INTO alerts ({_COLUMNS})
SELECT * FROM unnest($1::text[], $2::text[], $3::bool[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[],
                     $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::timestamptz[], $12::bigint[])
ON CONFLICT (sku, kind) DO UPDATE SET
    active = excluded.active, available = excluded.available, threshold = excluded.threshold,
    ceiling = excluded.ceiling, channel = excluded.channel, raised_at = excluded.raised_at,
    cleared_at = excluded.cleared_at, raised_available = excluded.raised_available,
    quiet_since = excluded.quiet_since, held = excluded.held
"""  # noqa: S608 - constants only


async def lock_all(tx: Tx, skus: Collection[str]) -> dict[tuple[str, Kind], Alert]:
    """All alerts about these SKUs, active or past, locked until the transaction ends."""
    rows = await tx.raw.fetch(_LOCK_ALL, list(skus))
    return {(row["sku"], row["kind"]): Alert(**row) for row in rows}


async def save_all(tx: Tx, changed: Sequence[Alert]) -> None:
    if changed:
        await tx.raw.execute(_SAVE_ALL, *map(list, zip(*map(astuple, changed), strict=True)))
