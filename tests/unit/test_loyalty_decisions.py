import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backbone.decision import fold
from services.loyalty.decisions import credit, grant, points_for
from services.loyalty.events import CaseResolved, Money, OrderCompleted

TOTALS = st.builds(
    lambda amount, currency: Money(amount=amount, currency=currency),
    st.integers(0, 10**12),
    st.sampled_from(("GBP", "EUR", "JPY", "KWD", "CLF")),
)
COMPLETED = st.builds(
    lambda order, customer, total: OrderCompleted(order=order, customer_id=customer, total=total),
    st.uuids().map(str),
    st.sampled_from(("ada", "bob", "cy")),
    TOTALS,
)


@pytest.mark.parametrize(
    ("amount", "currency", "points"),
    [
        (1299, "GBP", 12),
        (99, "GBP", 0),
        (100, "USD", 1),
        (1299, "JPY", 1299),
        (12999, "KWD", 12),
        (12999, "CLF", 1),
        (150000, "PYG", 150000),
        (25000000, "IQD", 25000),
        (1200, "UGX", 1200),
        (1200, "ZZZ", 12),
        (0, "GBP", 0),
        (-500, "GBP", 0),
    ],
)
def test_one_point_for_each_whole_unit_of_currency(amount: int, currency: str, points: int) -> None:
    assert points_for(Money(amount=amount, currency=currency)) == points


def test_an_order_worth_no_point_is_not_told() -> None:
    order = OrderCompleted(order="o-1", customer_id="ada", total=Money(amount=99, currency="GBP"))
    assert credit(3, order) is None


def test_a_case_grants_the_points_it_names_and_no_others() -> None:
    case = CaseResolved(case="c-1", order="o-1", customer_id="ada", points=20)
    granted = grant(3, case)
    assert granted is not None
    [event] = granted.events
    assert (granted.state, event.points, event.balance) == (23, 20, 23)
    assert grant(3, replace(case, points=0)) is None


@given(st.lists(COMPLETED), st.dictionaries(st.sampled_from(("ada", "bob")), st.integers(0, 10**6)))
def test_balances_are_what_they_were_and_the_sum_of_what_was_told(
    orders: list[OrderCompleted], before: dict[str, int]
) -> None:
    credited = fold(before, orders, lambda order: order.customer_id, lambda balance, order: credit(balance or 0, order))
    for customer, balance in credited.changed.items():
        earned = [event for name, _, decision in credited for event in decision.events if name == customer]
        assert balance == before.get(customer, 0) + sum(event.points for event in earned) == earned[-1].balance
        assert all(event.points > 0 for event in earned)
