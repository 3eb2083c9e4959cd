"""The balance sheet: copies of events, what there was before a consumer counted, alarms, and the job that looks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "ledger_0003"
down_revision = "ledger_0002"
branch_labels = None
depends_on = None

JOB = "INSERT INTO jobs (kind, key, data, due, correlationid) VALUES ('balance', 'balance', '{}', now(), 'ledger_0003')"


def upgrade() -> None:
    op.create_table(
        "copies",
        sa.Column("topic", sa.Text(collation="C"), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("offset", sa.BigInteger, primary_key=True),
        sa.Column("type", sa.Text(collation="C"), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "openings",
        sa.Column("consumer", sa.Text(collation="C"), primary_key=True),
        sa.Column("topic", sa.Text(collation="C"), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("since", sa.Text, nullable=False),
        sa.Column("counts", postgresql.JSONB, nullable=False),
        sa.Column("heard_first", postgresql.JSONB, nullable=False),
        sa.Column("balanced_offset", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "alarms",
        sa.Column("consumer", sa.Text(collation="C"), primary_key=True),
        sa.Column("seen", postgresql.JSONB, nullable=False),
        sa.Column("broken_at", sa.DateTime(timezone=True)),
    )
    op.execute(JOB)


def downgrade() -> None:
    op.execute("DELETE FROM jobs WHERE kind = 'balance'")
    for table in ("alarms", "openings", "copies"):
        op.drop_table(table)
