"""Describes the JSON that goes in and out over HTTP."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationInfo, field_validator

from backbone.identity.caller import Caller
from backbone.sealing.sealing import Seal
from backbone.values.fields import WHOLE, Email, Key, Line, Name
from services.carts.decisions import MOST_OF_ONE, Addition, Progress, Terms
from services.carts.events import Customer

ADA: dict[str, JsonValue] = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
# What /docs offers to send.
ITEM: dict[str, JsonValue] = {"item": "margherita", "quantity": 2, "customer": ADA}
CHECKOUT: dict[str, JsonValue] = {"currency": "GBP", "fulfilment": "delivery", "address": "1 Mill Lane"}

Fulfilment = Literal["delivery", "collection"]


class Body(BaseModel):
    """Is what a client sends: nothing that we do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CustomerBody(Body):
    """Names whose cart it is."""

    id: Key
    name: Annotated[Line, StringConstraints(max_length=200)]
    email: Email

    def customer(self, seal: Seal) -> Customer:
        """Return the same as decisions take it, sealed."""
        return Customer(self.id, seal(self.name), seal(self.email))


class NewItem(Body):
    """Asks for so many of one item of the menu; with the customer, somebody can be reminded of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [ITEM]})

    item: Name
    quantity: Annotated[int, Field(strict=True, ge=1, le=MOST_OF_ONE), WHOLE] = 1
    customer: CustomerBody | None = None

    def addition(self, cart: str, seal: Seal, caller: Caller) -> Addition:
        """Return the same as decisions take it, with what is the customer's own sealed."""
        customer = self.customer.customer(seal) if self.customer else None
        return Addition(cart, self.item, self.quantity, customer, caller)


class QuantityBody(Body):
    """Says how many of an item there shall be in the cart; with 0 there is none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quantity": 3}]})

    quantity: Annotated[int, Field(strict=True, ge=0, le=MOST_OF_ONE), WHOLE]


class CheckoutBody(Body):
    """Holds what an order needs beside what is in the cart; the customer only where the cart does not know one."""

    model_config = ConfigDict(json_schema_extra={"examples": [CHECKOUT]})

    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    fulfilment: Fulfilment = "delivery"
    address: Annotated[
        Annotated[Line, StringConstraints(max_length=500)] | None,
        Field(validate_default=True, description="Needed for delivery."),
    ] = None
    customer: CustomerBody | None = None

    @field_validator("address")
    @classmethod
    def _somewhere_to_deliver(cls, address: str | None, info: ValidationInfo) -> str | None:
        if address is None and info.data.get("fulfilment") == "delivery":
            raise ValueError("is needed for delivery")
        return address

    def terms(self, whose: str | None, seal: Seal) -> Terms:
        """Return the same as decisions take it, with what is the customer's own sealed; `whose` it is by id."""
        customer = self.customer.customer(seal) if self.customer else None
        return Terms(self.currency, self.fulfilment, self.address and seal(self.address), whose, customer)


class View(BaseModel):
    """Is what we answer."""

    model_config = ConfigDict(from_attributes=True)


class Received(View):
    """Tells that an item was received: every checkout that follows has it, or misses it once it is removed."""

    cart: str
    item: str
    quantity: int
    status: Literal["received"]
    at: datetime


class LineView(View):
    """Holds so many of one item."""

    item: str
    quantity: int


class CustomerView(View):
    """Names whose cart it is."""

    id: str
    name: str
    email: str


class ObjectionView(View):
    """Says what is wrong with a field of the order; `lines.0.item` is that of the cart's first line."""

    field: str
    message: str


class CheckoutView(View):
    """Shows the last checkout: the `order` once it is placed, `reason` and `errors` once it is refused."""

    version: int
    status: Progress
    at: datetime
    order: str | None
    reason: str | None
    errors: list[ObjectionView]


class CartView(View):
    """Shows a cart; `version` counts the orders that were, or were to be, made of it."""

    id: str
    version: int
    lines: list[LineView]
    customer: CustomerView | None
    checkout: CheckoutView | None
    changed_at: datetime
