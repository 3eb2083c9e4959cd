"""Orders that wait for stock."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "inventory_0004"
down_revision = "inventory_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "backorders",
        sa.Column("order_id", sa.Text(collation="C"), primary_key=True),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("skus", sa.ARRAY(sa.Text(collation="C")), nullable=False),
        sa.Column("correlationid", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("backorders_by_sku", "backorders", ["skus"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_table("backorders")
