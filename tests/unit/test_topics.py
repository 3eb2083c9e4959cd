"""Which topics are made: those that a service here writes, and those that one reads."""

from deployment.topics import wanted
from services import CATALOGUE


def test_every_service_has_a_topic_and_no_other_is_made_while_all_are_there() -> None:
    assert wanted(CATALOGUE) == sorted(f"{service}.events" for service in CATALOGUE)


def test_a_topic_whose_writer_is_left_out_is_made_for_its_readers() -> None:
    assert "reviews.events" in wanted(["notifications"])
    assert "reviews.events" in wanted(["loyalty"])
    assert "reviews.events" not in wanted(["orders", "inventory", "payments", "kitchen", "delivery"])
