"""How orders are laid out over time: in steps that stay where they are, whoever asks when."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.ledger.throughput import STEPS, beginning, series

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(MOMENTS, st.integers(1, 60))
def test_the_last_step_is_under_way_and_steps_stay_where_they_are(now: datetime, step: int) -> None:
    length = timedelta(seconds=step)
    first = beginning(now, step)
    assert first + length * (STEPS - 1) <= now < first + length * STEPS
    assert beginning(now + length, step) == first + length


def test_each_status_has_a_number_for_every_step_also_where_no_order_reached_it() -> None:
    found = {each.status: each.orders for each in series([("placed", 0, 3), ("placed", 59, 1), ("rejected", 7, 2)])}
    assert list(found) == ["placed", "completed", "rejected", "cancelled"]
    assert {status: (len(orders), sum(orders)) for status, orders in found.items()} == {
        "placed": (STEPS, 4),
        "completed": (STEPS, 0),
        "rejected": (STEPS, 2),
        "cancelled": (STEPS, 0),
    }
    assert (found["placed"][0], found["placed"][59], found["rejected"][7]) == (3, 1, 2)
