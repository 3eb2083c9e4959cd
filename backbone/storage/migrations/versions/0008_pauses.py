"""What an operator has paused: who did so, when and why, and who let it go on.

A key that is paused is parked under its pause; one that is parked for an error of its own has none.
"""

from alembic import op

revision = "backbone_0008"
down_revision = "backbone_0007"

TABLES = (
    """
    CREATE TABLE pauses (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      what text NOT NULL, name text NOT NULL, reason text NOT NULL,
      paused_at timestamptz NOT NULL DEFAULT now(), paused_by text NOT NULL,
      resumed_at timestamptz, resumed_by text
    )
    """,
    "CREATE UNIQUE INDEX pauses_lasting ON pauses (what, name) WHERE resumed_at IS NULL",
    "ALTER TABLE parked_keys ADD COLUMN pause bigint",
    "CREATE INDEX parked_keys_paused ON parked_keys (pause) WHERE pause IS NOT NULL",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX parked_keys_paused")
    op.execute("ALTER TABLE parked_keys DROP COLUMN pause")
    op.execute("DROP TABLE pauses")
