"""The alerts of each SKU, active or past: one row per SKU and kind."""

import sqlalchemy as sa

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
    sa.Index("alerts_active", "sku", "kind", postgresql_where=sa.text("active")),
)
