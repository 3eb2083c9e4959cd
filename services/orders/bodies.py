"""The JSON that goes in and out over HTTP."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from backbone.sealing.sealing import Seal
from backbone.values.amounts import LARGEST_PRICE, LARGEST_TOTAL, SMALLEST
from backbone.values.fields import WHOLE, Email, Key, Line, Name
from services.orders.events import Customer, Fulfilment
from services.orders.order import Buyer, RefundStatus, Status

MOST_ITEMS = 50
"""Different items of an order: with the longest recipes they still fit into what inventory tells of their stock."""

# What /docs offers to send.
EXAMPLE: dict[str, JsonValue] = {
    "customer": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
    "currency": "GBP",
    "fulfilment": "delivery",
    "address": "1 Mill Lane",
    "lines": [{"item": "margherita", "quantity": 2}],
}
ITEM_EXAMPLE: dict[str, JsonValue] = {
    "item": "calzone",
    "name": "Calzone",
    "unit_price": {"amount": 1350, "currency": "GBP"},
    "baked": True,
    "description": "Folded over ham and mushrooms.",
    "category": "pizza",
}


class Body(BaseModel):
    """Describes what a client sends: nothing that we do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CustomerBody(Body):
    """Names who orders."""

    id: Key
    name: Annotated[Line, StringConstraints(max_length=200)]
    email: Email


class LineBody(Body):
    """Asks for some of one item of the menu."""

    item: Name
    quantity: Annotated[int, Field(strict=True, ge=1, le=1000), WHOLE]


class NewOrder(Body):
    """Holds an order as a customer gives it.

    The same item may stand in several lines; they stay as given.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    customer: CustomerBody
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    fulfilment: Fulfilment = "delivery"
    address: Annotated[
        Annotated[Line, StringConstraints(max_length=500)] | None,
        Field(validate_default=True, description="Needed for delivery."),
    ] = None
    lines: Annotated[
        list[LineBody],
        Field(min_length=1, max_length=500, description=f"Of at most {MOST_ITEMS} different items."),
    ]

    @field_validator("lines")
    @classmethod
    def _of_few_items(cls, lines: list[LineBody]) -> list[LineBody]:
        if len({line.item for line in lines}) > MOST_ITEMS:
            raise ValueError(f"must be of at most {MOST_ITEMS} different items")
        return lines

    @field_validator("address")
    @classmethod
    def _somewhere_to_deliver(cls, address: str | None, info: ValidationInfo) -> str | None:
        if address is None and info.data.get("fulfilment") == "delivery":
            raise ValueError("is needed for delivery")
        return address

    @property
    def items(self) -> list[tuple[str, int]]:
        """What is asked for, line by line: item and quantity."""
        return [(line.item, line.quantity) for line in self.lines]

    def buyer(self, seal: Seal) -> Buyer:
        """Return for whom it is, as decisions take it: what is the customer's own is sealed from here on."""
        who = self.customer
        customer = Customer(who.id, seal(who.name), seal(who.email))
        return Buyer(customer, self.fulfilment, self.address and seal(self.address))


class Cancellation(Body):
    """Tells why an order shall be cancelled, if anybody wants to say."""

    reason: Annotated[Line, StringConstraints(max_length=500)] | None = None


class AmountBody(Body):
    """Names an amount in minor units of the order's currency: 500 is 5.00 GBP."""

    amount: Annotated[int, Field(strict=True, ge=SMALLEST, le=LARGEST_TOTAL), WHOLE]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class RefundBody(Body):
    """Tells what shall be given back of an order's payment, and why."""

    amount: Annotated[AmountBody | None, Field(description="Left out: all that is left of the payment.")] = None
    reason: Annotated[Line, StringConstraints(max_length=500), Field(examples=["It came cold."])]


class PriceBody(Body):
    """Names a price in minor units of the shop's currency: 1200 is 12.00 GBP."""

    amount: Annotated[int, Field(strict=True, ge=SMALLEST, le=LARGEST_PRICE), WHOLE]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


Title = Annotated[Line, StringConstraints(max_length=200)]
Description = Annotated[Annotated[Line, StringConstraints(max_length=500)] | None, Field(examples=["Ice cold."])]
Category = Annotated[Annotated[Line, StringConstraints(max_length=40)] | None, Field(examples=["drinks"])]
Hidden = Annotated[bool, Field(strict=True, description="Left off the menu, and not to be ordered; no secret.")]
BackOrderable = Annotated[
    bool,
    Field(strict=True, description="An order waits for it when stock is short, instead of being rejected."),
]
SoldOut = Annotated[bool, Field(strict=True, description="Shown as such, and not to be ordered.")]


class NewItem(Body):
    """Describes an item that the menu shall have."""

    model_config = ConfigDict(json_schema_extra={"examples": [ITEM_EXAMPLE]})

    item: Annotated[Name, Field(description="What programs call it, lines of orders and recipes among them.")]
    name: Title
    unit_price: PriceBody
    baked: Annotated[bool, Field(strict=True, description="Whether the kitchen has to bake it.")]
    description: Description = None
    category: Category = None
    hidden: Hidden = False
    sold_out: SoldOut = False
    back_orderable: BackOrderable = False


def _as_it_is() -> Any:
    """Stand for a field that is left out of a change: it is not looked at."""
    return None


class ItemChange(Body):
    """Tells what shall be different about an item; what is left out stays as it is.

    A description or a category that is null is taken away.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "examples": [{"sold_out": True}]})

    name: Title = Field(default_factory=_as_it_is)
    unit_price: PriceBody = Field(default_factory=_as_it_is)
    baked: Annotated[bool, Field(strict=True)] = Field(default_factory=_as_it_is)
    description: Description = Field(default_factory=_as_it_is)
    category: Category = Field(default_factory=_as_it_is)
    hidden: Hidden = Field(default_factory=_as_it_is)
    sold_out: SoldOut = Field(default_factory=_as_it_is)
    back_orderable: BackOrderable = Field(default_factory=_as_it_is)

    @model_validator(mode="after")
    def _something(self) -> "ItemChange":
        if not self.model_fields_set:
            raise ValueError("must name at least one thing to change")
        return self


class View(BaseModel):
    """Describes what we answer."""

    model_config = ConfigDict(from_attributes=True)


class MoneyView(View):
    """Shows an amount in minor units: 2400 is 24.00 GBP."""

    amount: int
    currency: str


class CustomerView(View):
    """Names who ordered."""

    id: str
    name: str
    email: str


class LineView(View):
    """Shows one line, at the price of the moment it was ordered."""

    item: str
    quantity: int
    unit_price: MoneyView
    baked: bool


class EntryView(View):
    """Tells of something that happened; `status` is where the order stood after it."""

    status: Status
    at: datetime
    event: str
    text: str


class RefundView(View):
    """Shows what was given back of the payment, or is about to be; `failure` says why it was not."""

    id: str
    amount: MoneyView
    reason: str
    by: str
    status: RefundStatus
    requested_at: datetime
    settled_at: datetime | None
    failure: str | None


class ExpectedView(View):
    """Tells the status that should come next, and when; a time that has passed means that it is late."""

    step: Status
    at: datetime


class OrderView(View):
    """Shows an order as lists do, without its timeline.

    `since` is when it came where it stands. `expected` is null at its end, and while it waits for stock.
    """

    id: str
    status: Status
    since: datetime
    reason: str | None
    customer: CustomerView
    fulfilment: Fulfilment
    address: str | None
    lines: list[LineView]
    total: MoneyView
    placed_at: datetime
    expected: ExpectedView | None


class OrderDocument(OrderView):
    """Shows an order with everything that has happened to it."""

    refunds: list[RefundView]
    timeline: list[EntryView]


class Forgotten(View):
    """Tells that a customer is forgotten; `destroyed` counts the keys that orders itself had, one or none."""

    customer: str
    destroyed: int


class MenuItemView(View):
    """Shows one item of the menu; one that is sold out or hidden cannot be ordered."""

    item: str
    name: str
    unit_price: MoneyView
    baked: bool
    description: str | None
    category: str | None
    picture: Annotated[str, Field(description="Where its picture is served, an SVG; a path of this service.")]
    sold_out: bool
    out_of_stock: Annotated[
        bool,
        Field(description="Stock does not suffice for one more: its order waits, or is rejected."),
    ]
    back_orderable: bool
    hidden: bool


class OrderPage(BaseModel):
    """Holds a page of orders; `next` goes on."""

    items: list[OrderView]
    next: str | None


class OrderCount(BaseModel):
    """Counts the orders of a list; where that is not `exact`, there are more."""

    count: int
    exact: bool


class MenuPage(BaseModel):
    """Holds a page of the menu; `next` goes on."""

    items: list[MenuItemView]
    next: str | None
