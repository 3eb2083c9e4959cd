"""Events that inventory publishes, and its own narrow view of those that it reads."""

from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from backbone.events import acts
from backbone.events.payload import Payload


class StockLine(msgspec.Struct, frozen=True):
    sku: str
    quantity: int


class Shortage(msgspec.Struct, frozen=True):
    """Tells of one SKU of which an order wanted `quantity` pieces when fewer were `available`."""

    sku: str
    quantity: int
    available: int


class StockReserved(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.inventory.stock-reserved.v1"
    order: str
    lines: tuple[StockLine, ...]


class StockRejected(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.inventory.stock-rejected.v1"
    order: str
    lines: tuple[StockLine, ...]
    short: tuple[Shortage, ...]


class StockBackordered(Payload, frozen=True, kw_only=True):
    """The order waits for what is `short`, and gets all its lines or none when there is enough."""

    TYPE: ClassVar[str] = "sliceline.inventory.stock-backordered.v1"
    order: str
    lines: tuple[StockLine, ...]
    short: tuple[Shortage, ...]


class BackorderWithdrawn(Payload, frozen=True, kw_only=True):
    """The order ended while it waited; nothing had been reserved for it."""

    TYPE: ClassVar[str] = "sliceline.inventory.backorder-withdrawn.v1"
    order: str


class StockReleased(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.inventory.stock-released.v1"
    order: str
    lines: tuple[StockLine, ...]


class Availability(msgspec.Struct, frozen=True):
    available: int


class StockLevelChanged(Payload, frozen=True, kw_only=True):
    """What is available of a SKU changed, or its limits; the first level of one that was added has no `before`."""

    TYPE: ClassVar[str] = "sliceline.inventory.stock-level-changed.v1"
    sku: str
    before: Availability | UnsetType = UNSET
    after: Availability
    threshold: int
    ceiling: int
    channel: str
    reason: str


class SkuRetired(Payload, frozen=True, kw_only=True):
    """The staff stopped keeping a SKU of which nothing is left."""

    TYPE: ClassVar[str] = "sliceline.inventory.sku-retired.v1"
    sku: str
    by: str


class Recipe(msgspec.Struct, frozen=True):
    ingredients: tuple[StockLine, ...]


class RecipeChanged(Payload, frozen=True, kw_only=True):
    """The staff changed a recipe; one that is new has no `before`, one that was retired no `after`."""

    TYPE: ClassVar[str] = "sliceline.inventory.recipe-changed.v1"
    item: str
    before: Recipe | UnsetType = UNSET
    after: Recipe | UnsetType = UNSET
    by: str


class ItemShortageChanged(Payload, frozen=True, kw_only=True):
    """One piece of the item cannot be made for want of the SKU, or can be again, as far as the SKU goes."""

    TYPE: ClassVar[str] = "sliceline.inventory.item-shortage-changed.v1"
    item: str
    sku: str
    short: bool


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.inventory.acts-recorded.v1"


PUBLISHES: tuple[type[Payload], ...] = (
    StockReserved,
    StockRejected,
    StockBackordered,
    BackorderWithdrawn,
    StockReleased,
    StockLevelChanged,
    SkuRetired,
    RecipeChanged,
    ItemShortageChanged,
    ActsRecorded,
)


class OrderLine(msgspec.Struct, frozen=True):
    item: str
    quantity: int


class OrderPlaced(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-placed.v1"
    order: str
    lines: tuple[OrderLine, ...]
    back_orderable: tuple[str, ...] = ()
    """The items for which the customer waits when stock is short."""


class OrderRejected(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-rejected.v1"
    order: str


class OrderCancelled(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-cancelled.v1"
    order: str


class OrderCompleted(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-completed.v1"
    order: str
