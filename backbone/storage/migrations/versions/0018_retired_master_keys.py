"""Master keys with which no data key is wrapped any more: whoever has not heard of the new one is refused."""

import sqlalchemy as sa
from alembic import op

revision = "backbone_0018"
down_revision = "backbone_0017"


def upgrade() -> None:
    op.create_table(
        "retired_master_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


def downgrade() -> None:
    op.drop_table("retired_master_keys")
