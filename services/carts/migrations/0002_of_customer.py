"""An index of carts by whose they are."""

import sqlalchemy as sa
from alembic import op

revision = "carts_0002"
down_revision = "carts_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("carts_of_customer", "carts", [sa.text("(customer ->> 'id')"), "id"])


def downgrade() -> None:
    op.drop_index("carts_of_customer", "carts")
