"""Tells Prometheus, whenever it asks, for how long what a consumer has not handled yet has been in its topics.

Looks at the logs tell it (see `lag.py`), but nobody looks while a batch is in hand, and a batch may wait for long: for
a row that somebody holds, for a database that is away. So the batch tells it as well.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

from backbone.consuming.batch import Batch
from backbone.observing import metrics


class Lateness:
    """Knows what the last look has found, and the batch in hand."""

    def __init__(self, consumer: str, now: Callable[[], datetime]) -> None:
        """`now` tells the database's time."""
        self._consumer = consumer
        self._now = now
        self._found: Mapping[str, timedelta] = {}
        self.in_hand: Batch | None = None

    def tell(self, found: Mapping[str, timedelta]) -> None:
        """Tell from now on what a look has found, by topic; of other topics nothing more is told."""
        for gone in self._found.keys() - found.keys():
            metrics.LAG_SECONDS.remove(self._consumer, gone)
        for new in found.keys() - self._found.keys():
            metrics.LAG_SECONDS.labels(self._consumer, new).set_function(partial(self._of, new))
        self._found = found

    def _of(self, topic: str) -> float:
        found = self._found.get(topic, timedelta(0)).total_seconds()
        taken = [
            each.record.timestamp
            for each in (self.in_hand.incoming if self.in_hand else ())
            if each.record.topic == topic and each.record.timestamp
        ]
        return max(found, self._now().timestamp() - min(taken) / 1000) if taken else found
