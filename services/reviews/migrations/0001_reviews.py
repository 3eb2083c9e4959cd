"""The reviews."""

import sqlalchemy as sa
from alembic import op

revision = "reviews_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("customer_name", sa.Text, nullable=False),
        sa.Column("customer_email", sa.Text, nullable=False),
        sa.Column("stars", sa.Integer),
        sa.Column("text", sa.Text),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("correlationid", sa.Text, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("label", sa.Text),
        sa.Column("case_status", sa.Text),
        sa.Column("opened_at", sa.DateTime(timezone=True)),
        sa.Column("note", sa.Text),
        sa.Column("points", sa.Integer),
        sa.Column("resolved_by", sa.Text),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("stars BETWEEN 1 AND 5", name="reviews_stars"),
        sa.CheckConstraint("case_status IN ('open', 'resolved')", name="reviews_case_status"),
    )
    op.create_index("reviews_once", "reviews", ["order_id", "customer_id"], unique=True)
    op.create_index(
        "reviews_cases", "reviews", ["case_status", "id"], postgresql_where=sa.text("case_status IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_table("reviews")
