"""Which topics are made: those that a service here writes, and those that one reads."""

from backbone.events import buses
from backbone.events.topics import DEFAULT_BUS
from deployment.topics import every_topic, unwritten
from services import CATALOGUE


def test_every_service_has_a_topic_and_no_other_of_their_bus_is_made_while_all_are_there() -> None:
    default = [topic for topic, bus in every_topic(CATALOGUE).items() if bus == buses.find(DEFAULT_BUS)]
    assert sorted(default) == sorted(f"{service}.events" for service in CATALOGUE)


def test_a_topic_whose_writer_is_left_out_is_made_for_its_readers() -> None:
    assert "reviews.events" in every_topic(["notifications"])
    assert "reviews.events" in every_topic(["loyalty"])
    assert "reviews.events" not in every_topic(["orders", "inventory", "payments", "kitchen", "delivery"])


def test_who_reads_what_nobody_here_writes_is_told_and_nothing_is_while_all_are_there() -> None:
    without_reviews = [service for service in CATALOGUE if service != "reviews"]
    assert unwritten(CATALOGUE) == []
    [said] = unwritten(without_reviews)
    assert "loyalty, notifications will hear nothing from reviews" in said
