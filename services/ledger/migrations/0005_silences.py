"""Since when a service has not answered the looks at the balance sheet."""

from alembic import op

revision = "ledger_0005"
down_revision = "ledger_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute('CREATE TABLE silences (service text COLLATE "C" PRIMARY KEY, since timestamptz NOT NULL)')


def downgrade() -> None:
    op.drop_table("silences")
