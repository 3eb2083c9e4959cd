"""Partners, and what was received of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "partners_0001"
down_revision = None
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "partners",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("style", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("old_secret", sa.Text),
        sa.Column("old_secret_until", MOMENT),
        sa.Column("contract", JSONB, nullable=False),
        sa.CheckConstraint("style IN ('standard-webhooks', 'stripe', 'github')", name="partners_style"),
    )
    op.create_table(
        "received",
        sa.Column("partner", NAME, sa.ForeignKey("partners.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("id", NAME, primary_key=True),
        sa.Column("received_at", MOMENT, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("received")
    op.drop_table("partners")
