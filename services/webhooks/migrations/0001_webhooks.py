"""Endpoints, the events heard, what is owed, and what came of each attempt."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "webhooks_0001"
down_revision = None
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", NAME, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("pattern", JSONB),
        sa.Column("ordered", sa.Boolean, nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("rate", sa.Float),
        sa.Column("allowed_failures", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("proven", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("old_secret", sa.Text),
        sa.Column("old_secret_until", MOMENT),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("counts_from", MOMENT),
        sa.Column("planned_at", MOMENT),
        sa.Column("rests_until", MOMENT),
        sa.Column("pinged_at", MOMENT),
        sa.Column("ping_result", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("status IN ('unproven', 'active', 'disabled')", name="endpoints_status"),
    )
    op.create_table(
        "messages",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", NAME, nullable=False, unique=True),
        sa.Column("type", NAME, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("only_for", NAME),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
    )
    op.create_index("messages_received", "messages", ["received_at"])
    op.create_table(
        "deliveries",
        sa.Column("endpoint_id", NAME, sa.ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.BigInteger, sa.ForeignKey("messages.position", ondelete="CASCADE"), primary_key=True),
        sa.Column("key", NAME, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("due", MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_attempt_at", MOMENT),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.CheckConstraint("status IN ('waiting', 'delivered', 'parked', 'discarded')", name="deliveries_status"),
    )
    op.create_index(
        "deliveries_waiting",
        "deliveries",
        ["endpoint_id", "position"],
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.create_index(
        "deliveries_due", "deliveries", ["endpoint_id", "due"], postgresql_where=sa.text("status = 'waiting'")
    )
    op.create_index(
        "deliveries_holding",
        "deliveries",
        ["endpoint_id", "key", "position"],
        postgresql_where=sa.text("status IN ('waiting', 'parked')"),
    )
    op.create_index("deliveries_position", "deliveries", ["position"])
    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("endpoint_id", NAME, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("took_ms", sa.Integer, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("said", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id", "position"], ["deliveries.endpoint_id", "deliveries.position"], ondelete="CASCADE"
        ),
    )
    op.create_index("attempts_delivery", "attempts", ["endpoint_id", "position", "id"])


def downgrade() -> None:
    for table in ("attempts", "deliveries", "messages", "endpoints"):
        op.drop_table(table)
