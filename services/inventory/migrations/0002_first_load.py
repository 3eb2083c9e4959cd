"""The first stock, and what each item of the menu uses up."""

import json

import sqlalchemy as sa
from alembic import op

revision = "inventory_0002"
down_revision = "inventory_0001"
branch_labels = None
depends_on = None

INGREDIENTS = (
    "basil",
    "chilli",
    "dough",
    "fontina",
    "garlic",
    "gorgonzola",
    "ham",
    "mozzarella",
    "mushrooms",
    "parmesan",
    "peppers",
    "pineapple",
    "salami",
    "tomato-sauce",
)
DRINKS = ("cola", "lemonade", "water")

RECIPES = {
    "margherita": {"dough": 1, "tomato-sauce": 1, "mozzarella": 1, "basil": 1},
    "marinara": {"dough": 1, "tomato-sauce": 2, "garlic": 1},
    "pepperoni": {"dough": 1, "tomato-sauce": 1, "mozzarella": 1, "salami": 2},
    "quattro-formaggi": {"dough": 1, "mozzarella": 1, "gorgonzola": 1, "fontina": 1, "parmesan": 1},
    "funghi": {"dough": 1, "tomato-sauce": 1, "mozzarella": 1, "mushrooms": 2},
    "diavola": {"dough": 1, "tomato-sauce": 1, "mozzarella": 1, "salami": 1, "chilli": 1},
    "hawaiian": {"dough": 1, "tomato-sauce": 1, "mozzarella": 1, "ham": 1, "pineapple": 1},
    "vegetariana": {"dough": 1, "tomato-sauce": 1, "mozzarella": 1, "peppers": 1, "mushrooms": 1},
}

ADD_STOCK = sa.text(
    "INSERT INTO stock (sku, on_hand, reserved, sold, initial, adjusted, threshold, ceiling)"
    " VALUES (:sku, :on_hand, 0, 0, :on_hand, 0, :threshold, :ceiling)"
)
ADD_RECIPE = sa.text("INSERT INTO recipes (item, ingredients) VALUES (:item, CAST(:ingredients AS jsonb))")


def upgrade() -> None:
    for sku in (*INGREDIENTS, *DRINKS):
        _add_stock(sku, on_hand=5000, threshold=500, ceiling=10_000)
    _add_stock("mcguffin", on_hand=100, threshold=10, ceiling=1000)
    for item, parts in RECIPES.items():
        ingredients = [{"sku": sku, "quantity": quantity} for sku, quantity in parts.items()]
        op.execute(ADD_RECIPE.bindparams(item=item, ingredients=json.dumps(ingredients)))


def downgrade() -> None:
    op.execute("DELETE FROM recipes")
    op.execute("DELETE FROM stock")


def _add_stock(sku: str, *, on_hand: int, threshold: int, ceiling: int) -> None:
    op.execute(ADD_STOCK.bindparams(sku=sku, on_hand=on_hand, threshold=threshold, ceiling=ceiling))
