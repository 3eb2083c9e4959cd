"""Which kinds of job rest because what they call is away: shared by all replicas."""

from alembic import op

revision = "backbone_0009"
down_revision = "backbone_0008"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE breakers (
          kind text PRIMARY KEY, keys text[] NOT NULL DEFAULT '{}', rests int NOT NULL DEFAULT 0,
          opened_at timestamptz, rests_until timestamptz, error text
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE breakers")
