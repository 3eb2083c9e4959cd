"""Data keys, with which what is a person's own is sealed: one living key for each person.

One that was destroyed keeps its row, without the key: what was sealed with it is known to be forgotten.
"""

import sqlalchemy as sa
from alembic import op

revision = "backbone_0017"
down_revision = "backbone_0016"


def upgrade() -> None:
    op.create_table(
        "data_keys",
        sa.Column("name", sa.Text(collation="C"), primary_key=True),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("wrapped", sa.LargeBinary),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("forgotten_at", sa.DateTime(timezone=True)),
    )
    op.create_index("data_keys_person", "data_keys", ["person", "made_at"])
    op.create_index(
        "data_keys_living", "data_keys", ["person"], unique=True, postgresql_where=sa.text("forgotten_at IS NULL")
    )


def downgrade() -> None:
    op.drop_table("data_keys")
