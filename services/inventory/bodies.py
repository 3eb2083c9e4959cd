"""The JSON that goes in and out over HTTP."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from backbone.values.fields import WHOLE, Line, Name, given
from services.inventory import levels
from services.inventory.levels import Level
from services.inventory.shortages import MOST_IN_A_RECIPE

MOST = 1_000_000_000

Count = Annotated[int, Field(ge=0, le=MOST), WHOLE]


class Body(BaseModel):
    """Describes what a client sends: nothing is converted, nothing unknown is let through."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StockLevel(BaseModel):
    """Shows the stock of one SKU. `available` is what a new order can have: on_hand - reserved."""

    sku: str
    on_hand: int
    reserved: int
    available: int
    sold: int
    threshold: int
    ceiling: int


class StockPage(BaseModel):
    items: list[StockLevel]
    next: str | None


class NewSku(Body):
    """Describes a SKU that shall be kept, with the first level of its stock."""

    sku: Name = Field(examples=["capers"])
    on_hand: Count = 0
    threshold: Count = Field(description="At or below it stock is low.", examples=[500])
    ceiling: Count = Field(description="Above it there is too much.", examples=[10_000])


class Limits(Body):
    """Tells when to warn the shop: at or below `threshold`, and above `ceiling`.

    `ceiling` is never under `threshold`. What is left out stays.
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": given(threshold="integer", ceiling="integer")})

    threshold: Count | None = None
    ceiling: Count | None = Field(None, validate_default=True)

    @field_validator("ceiling")
    @classmethod
    def _one_at_least(cls, ceiling: int | None, info: ValidationInfo) -> int | None:
        if ceiling is None and info.data.get("threshold", 0) is None:
            raise ValueError("give threshold, ceiling or both")
        return ceiling


class Adjustment(Body):
    """Tells of pieces that came or went without an order.

    `change` is by how many, `set` is what was counted instead.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": given(change="integer", set="integer")})

    change: Annotated[int, Field(ge=-MOST, le=MOST), WHOLE] | None = None
    set: Count | None = Field(None, validate_default=True)
    channel: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40, examples=["shop-till"])
    reason: Line = Field(max_length=200, examples=["sold over the counter"])

    @field_validator("set")
    @classmethod
    def _one_of_both(cls, on_hand: int | None, info: ValidationInfo) -> int | None:
        if "change" in info.data and (on_hand is None) == (info.data["change"] is None):
            raise ValueError("give exactly one of change and set")
        return on_hand

    def apply(self, level: Level) -> Level:
        """Return the level after the adjustment.

        Raises NotEnough when promised pieces would be missing.
        """
        if self.change is not None:
            return levels.adjust(level, self.change)
        assert self.set is not None  # noqa: S101  the validator has seen to it
        return levels.count(level, self.set)


class Ingredient(Body):
    sku: Name = Field(examples=["dough"])
    quantity: Annotated[int, Field(ge=1, le=MOST_IN_A_RECIPE, examples=[1]), WHOLE]


class Recipe(Body):
    """Lists what one piece of an item uses up."""

    ingredients: Annotated[list[Ingredient], Field(min_length=1, max_length=20)]

    @field_validator("ingredients")
    @classmethod
    def _each_once(cls, ingredients: list[Ingredient]) -> list[Ingredient]:
        skus = [ingredient.sku for ingredient in ingredients]
        if len(set(skus)) < len(skus):
            raise ValueError("name each sku once")
        return ingredients


class KnownRecipe(Recipe):
    item: str
