"""Ids are sorted by the time they were made, and where those of a moment begin can be told."""

from datetime import UTC, datetime, timedelta

import pytest

from backbone.ids import first_id_of, new_id

SECOND = timedelta(seconds=1)


def test_an_id_lies_between_the_first_of_a_moment_before_and_of_one_after() -> None:
    now = datetime.now(UTC)
    assert first_id_of(now, -SECOND) < new_id() < first_id_of(now, SECOND) == first_id_of(now + SECOND)


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_any_moment_has_a_place_among_ids(moment: datetime) -> None:
    assert (first_id_of(moment, -SECOND) < new_id()) is (moment.year == 1)
    assert first_id_of(moment, SECOND).count("-") == 1
