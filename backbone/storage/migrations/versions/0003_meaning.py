"""A kept request is known by what it says, not by its bytes alone. Rows of code that wrote none have no meaning."""

from alembic import op

revision = "backbone_0003"
down_revision = "backbone_0002"


def upgrade() -> None:
    op.execute("ALTER TABLE idempotency_keys ADD COLUMN meaning bytea")


def downgrade() -> None:
    op.execute("ALTER TABLE idempotency_keys DROP COLUMN meaning")
