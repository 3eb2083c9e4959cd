"""The forms of contracts that were told of, and the job that looks for new ones."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0006"
down_revision = "ledger_0005"
branch_labels = None
depends_on = None

JOB = """
INSERT INTO jobs (kind, key, data, due, correlationid) VALUES ('releases', 'releases', '{}', now(), 'ledger_0006')
"""


def upgrade() -> None:
    op.create_table(
        "told_forms",
        sa.Column("type", sa.Text(collation="C"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute(JOB)


def downgrade() -> None:
    op.execute("DELETE FROM jobs WHERE kind = 'releases'")
    op.drop_table("told_forms")
