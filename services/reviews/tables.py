"""Describes the table of reviews."""

from sqlalchemy import CheckConstraint, Column, DateTime, Double, Index, Integer, MetaData, Table, Text

from backbone.storage.tables import own

metadata = MetaData()

# A review and its case are one row: whatever happens to it is one lock and one write.
reviews = Table(
    "reviews",
    metadata,
    # UUIDv7: sorted as bytes they come in the order in which they were received.
    Column("id", Text(collation="C"), primary_key=True),
    Column("order_id", Text(collation="C"), nullable=False),
    Column("customer_id", Text(collation="C"), nullable=False),
    Column("customer_name", Text, nullable=False),
    Column("customer_email", Text, nullable=False),
    Column("stars", Integer),
    Column("text", Text),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("correlationid", Text, nullable=False),
    Column("score", Double),
    Column("label", Text),
    # Null: a review that needs nobody has no case.
    Column("case_status", Text),
    Column("opened_at", DateTime(timezone=True)),
    Column("note", Text),
    Column("points", Integer),
    Column("resolved_by", Text),
    Column("resolved_at", DateTime(timezone=True)),
    CheckConstraint("stars BETWEEN 1 AND 5", name="reviews_stars"),
    CheckConstraint("case_status IN ('open', 'resolved')", name="reviews_case_status"),
    info=own("customer_id", "INSERT"),
)
# A customer says once how an order was.
Index("reviews_once", reviews.c.order_id, reviews.c.customer_id, unique=True)
Index("reviews_cases", reviews.c.case_status, reviews.c.id, postgresql_where=reviews.c.case_status.is_not(None))
