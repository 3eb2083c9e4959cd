"""What services have read and how far they are behind, from what they say of themselves."""

from services.ledger.traffic import lag, read

PLACE = {"topic": "orders.events", "applied": 0, "ignored": 0, "repeated": 0, "parked": 0, "held": 0, "discarded": 0}
V1, V2 = "sliceline.orders.order-confirmed.v1", "sliceline.orders.order-confirmed.v2"


def test_what_was_read_is_counted_over_partitions_without_what_nobody_listens_to() -> None:
    counts = [
        {**PLACE, "partition": 0, "type": V2, "applied": 3, "parked": 1},
        {**PLACE, "partition": 7, "type": V2, "applied": 2, "repeated": 4},
        {**PLACE, "partition": 7, "type": V1, "ignored": 9},
    ]
    assert read({"consumers": [{"consumer": "kitchen", "counts": counts, "places": []}]}) == {V2: 10}


def test_the_lag_of_each_topic_is_read_from_a_processs_metrics() -> None:
    metrics = """# HELP sliceline_consumer_lag Records of all partitions behind the topic's end
# TYPE sliceline_consumer_lag gauge
sliceline_consumer_lag{topic="orders.events"} 12.0
sliceline_consumer_lag{topic="kitchen.events"} 0.0
sliceline_skipped_events_total 3.0
"""
    assert lag(metrics) == {"orders.events": 12, "kitchen.events": 0}
