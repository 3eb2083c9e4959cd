"""Records are fed in their order: that in which Kafka took them, and within a key that of their sequence."""

from typing import Any

from services.ledger.records import in_sequence


def row(key: str, sequence: int, topic: str = "orders.events") -> dict[str, Any]:
    return {"source": "/sliceline/orders", "topic": topic, "key": key, "sequence": sequence}


def test_records_in_order_stay_where_they_are() -> None:
    rows = [row("a", 1), row("b", 7), row("a", 2), row("b", 8)]
    assert in_sequence(rows) == rows


def test_records_of_a_key_that_kafkas_clock_has_swapped_change_places_and_no_others_move() -> None:
    rows = [row("a", 2), row("b", 7), row("a", 1), row("a", 1, "other.events")]
    assert in_sequence(rows) == [rows[2], rows[1], rows[0], rows[3]]
