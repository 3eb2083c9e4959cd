"""The table of alerts."""

import sqlalchemy as sa

metadata = sa.MetaData()
Name = sa.Text(collation="C")

# One row per SKU and kind, active or past.
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
