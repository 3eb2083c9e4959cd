"""What the menu tells beside name and price, and whether an item can be ordered."""

import sqlalchemy as sa
from alembic import op

revision = "orders_0003"
down_revision = "orders_0002"
branch_labels = None
depends_on = None

# item, category, description
MENU = [
    ("margherita", "pizza", "Tomato, mozzarella and basil."),
    ("marinara", "pizza", "Tomato and garlic, without cheese."),
    ("pepperoni", "pizza", "Tomato, mozzarella and twice the salami."),
    ("funghi", "pizza", "Tomato, mozzarella and mushrooms."),
    ("diavola", "pizza", "Tomato, mozzarella, salami and chilli."),
    ("hawaiian", "pizza", "Tomato, mozzarella, ham and pineapple."),
    ("vegetariana", "pizza", "Tomato, mozzarella, peppers and mushrooms."),
    ("quattro-formaggi", "pizza", "Mozzarella, gorgonzola, fontina and parmesan."),
    ("cola", "drinks", "Ice cold."),
    ("lemonade", "drinks", "Cloudy."),
    ("water", "drinks", "From the tap, in a bottle."),
    ("mcguffin", "specials", "Everybody wants it; nobody knows what it is."),
]
FLAGS = ("hidden", "sold_out", "retired")
DESCRIBE = sa.text("UPDATE menu SET category = :category, description = :description WHERE item = :item")


def upgrade() -> None:
    """Add columns that code without them need not fill."""
    op.add_column("menu", sa.Column("description", sa.Text))
    op.add_column("menu", sa.Column("category", sa.Text))
    for flag in FLAGS:
        op.add_column("menu", sa.Column(flag, sa.Boolean, nullable=False, server_default=sa.false()))
    for item, category, description in MENU:
        op.execute(DESCRIBE.bindparams(item=item, category=category, description=description))


def downgrade() -> None:
    for column in ("description", "category", *FLAGS):
        op.drop_column("menu", column)
