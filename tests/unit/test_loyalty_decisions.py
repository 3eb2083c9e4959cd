import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.loyalty.decisions import credit, points_for
from services.loyalty.events import Money, OrderCompleted, PointsEarned

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
    assert credit({"ada": 3}, [order]).earned == (None,)


@given(st.lists(COMPLETED), st.dictionaries(st.sampled_from(("ada", "bob")), st.integers(0, 10**6)))
def test_many_at_once_are_credited_as_one_by_one(orders: list[OrderCompleted], before: dict[str, int]) -> None:
    together = credit(before, orders)
    balances, earned = before, list[PointsEarned | None]()
    for order in orders:
        single = credit(balances, [order])
        balances = single.balances
        earned += single.earned
    assert (together.balances, list(together.earned)) == (balances, earned)


@given(st.lists(COMPLETED))
def test_balances_are_the_sum_of_what_was_told(orders: list[OrderCompleted]) -> None:
    credited = credit({}, orders)
    for customer, balance in credited.balances.items():
        earned = [event for event in credited.earned if event and event.customer_id == customer]
        assert balance == sum(event.points for event in earned) == earned[-1].balance
        assert all(event.points > 0 for event in earned)
