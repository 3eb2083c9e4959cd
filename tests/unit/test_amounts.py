"""The bounds of prices and totals leave room in all that comes after them."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from backbone.events import contracts
from backbone.values.amounts import LARGEST_PRICE, LARGEST_TOTAL, SMALLEST
from backbone.values.whole import EXACT
from deployment.catalogue import sample_of
from sandbox.ledger import Money as ProviderMoney
from services.loyalty.decisions import credit, points_for
from services.loyalty.events import Money, OrderCompleted
from services.orders.bodies import AmountBody, LineBody, NewOrder, PriceBody

BIGINT = 2**63 - 1
MANY = 900_000
"""More orders than anybody places, or a shop takes on a day."""


def bounds(model: type[BaseModel], field: str) -> dict[str, Any]:
    described: dict[str, Any] = model.model_json_schema()["properties"][field]
    return described


def test_a_price_fits_into_a_total_and_many_totals_into_what_every_reader_of_json_counts() -> None:
    assert SMALLEST <= LARGEST_PRICE <= LARGEST_TOTAL
    assert MANY * LARGEST_TOTAL < EXACT < BIGINT


def test_what_the_largest_order_could_come_to_is_counted_before_it_is_refused() -> None:
    lines, pieces = bounds(NewOrder, "lines")["maxItems"], bounds(LineBody, "quantity")["maximum"]
    assert lines * pieces * LARGEST_PRICE < EXACT


def test_a_provider_takes_the_largest_total_and_no_less_than_the_smallest_price() -> None:
    charged = bounds(ProviderMoney, "amount")
    assert charged["minimum"] <= SMALLEST
    assert charged["maximum"] >= 100 * LARGEST_TOTAL


@pytest.mark.parametrize(("body", "most"), [(PriceBody, LARGEST_PRICE), (AmountBody, LARGEST_TOTAL)])
def test_what_comes_in_is_held_to_its_bounds(body: type[PriceBody | AmountBody], most: int) -> None:
    for sound in (SMALLEST, most, float(most)):
        assert body.model_validate({"amount": sound, "currency": "GBP"}).amount == sound
    for unsound in (SMALLEST - 1, most + 1, EXACT, BIGINT, BIGINT + 1, 10**400, 1.5, True, str(most)):
        with pytest.raises(ValidationError):
            body.model_validate({"amount": unsound, "currency": "GBP"})


@pytest.mark.parametrize("currency", ["GBP", "JPY", "KWD"])
def test_points_for_many_of_the_largest_orders_can_be_told(currency: str) -> None:
    total = Money(amount=LARGEST_TOTAL, currency=currency)
    order = OrderCompleted(order="o1", customer_id="ada", total=total)
    credited = credit((MANY - 1) * points_for(total), order)
    assert credited is not None
    [earned] = credited.events
    assert earned.balance == MANY * points_for(total) <= BIGINT
    data = {"order": "o1", "customer_id": "ada", "points": earned.points, "balance": earned.balance}
    contracts.check(earned.TYPE, data)


@pytest.mark.parametrize(
    "event_type",
    [
        "sliceline.orders.order-placed.v1",
        "sliceline.orders.order-confirmed.v2",
        "sliceline.orders.order-completed.v1",
        "sliceline.payments.payment-received.v1",
        "sliceline.payments.refund-paid.v1",
    ],
)
def test_every_event_can_tell_of_the_largest_total(event_type: str) -> None:
    sample = dict(sample_of(event_type))
    name = "total" if "total" in sample else "amount"
    contracts.check(event_type, {**sample, name: {"amount": LARGEST_TOTAL, "currency": "GBP"}})


def test_the_older_confirmation_can_tell_of_it_as_well() -> None:
    event_type = "sliceline.orders.order-confirmed.v1"
    contracts.check(event_type, {**sample_of(event_type), "total": LARGEST_TOTAL})
