"""An index of the orders that have not ended, by how long they stand where they stand: the late ones among millions."""

import sqlalchemy as sa
from alembic import op

revision = "orders_0007"
down_revision = "orders_0005"
branch_labels = None
depends_on = None

OPEN = "status IN ('placed', 'confirmed', 'preparing', 'baked', 'ready', 'dispatched', 'cancelling')"


def upgrade() -> None:
    op.create_index("orders_open", "orders", ["status", "stepped_at", "id"], postgresql_where=sa.text(OPEN))


def downgrade() -> None:
    op.drop_index("orders_open", "orders")
