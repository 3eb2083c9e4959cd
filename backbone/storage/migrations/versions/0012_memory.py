"""How far back the inbox remembers: of what was received before that moment it may have forgotten some.

NULL: it has forgotten nothing, as one of a service that has read nothing. That of any other may have been purged, and
remembers since its oldest delivery.
"""

from alembic import op

revision = "backbone_0012"
down_revision = "backbone_0011"


def upgrade() -> None:
    op.execute("CREATE TABLE inbox_memory (forgotten_before timestamptz)")
    op.execute("""
        INSERT INTO inbox_memory
        SELECT CASE WHEN EXISTS (SELECT FROM consumer_offsets)
                    THEN coalesce((SELECT min(received_at) FROM inbox), now()) END
    """)


def downgrade() -> None:
    op.execute("DROP TABLE inbox_memory")
