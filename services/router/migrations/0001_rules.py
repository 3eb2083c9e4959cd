"""The rules, their versions, their troubles and the revision of all of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "router_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rules",
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("bus", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("pattern", JSONB, nullable=False),
        sa.Column("targets", JSONB, nullable=False),
        sa.Column("means_all", sa.Boolean, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
    )
    op.create_index("rules_bus_name", "rules", ["bus", "name"], unique=True)
    op.create_table(
        "rule_versions",
        sa.Column("rule", sa.Text(collation="C"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("content", JSONB, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
    )
    op.create_table(
        "troubles",
        sa.Column("rule", sa.Text(collation="C"), primary_key=True),
        sa.Column("kind", sa.Text(collation="C"), primary_key=True),
        sa.Column("times", sa.BigInteger, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table("rulebook", sa.Column("revision", sa.Text, primary_key=True))
    op.execute("INSERT INTO rulebook (revision) VALUES ('no rule yet')")


def downgrade() -> None:
    for table in ("rulebook", "troubles", "rule_versions", "rules"):
        op.drop_table(table)
