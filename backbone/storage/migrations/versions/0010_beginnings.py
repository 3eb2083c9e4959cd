"""Whether these tables have been placed beside their topics: a new listener is, once, before it first reads."""

from alembic import op

revision = "backbone_0010"
down_revision = "backbone_0009"


def upgrade() -> None:
    op.execute("CREATE TABLE beginnings (at timestamptz NOT NULL DEFAULT now(), skipped boolean NOT NULL)")


def downgrade() -> None:
    op.execute("DROP TABLE beginnings")
