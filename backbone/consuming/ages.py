"""Tells how long the oldest record that a reader has not read yet has been in its partition.

Kafka tells offsets. What is known of times are the looks at where the log ended, and when Kafka took the last record
that was read: what comes after is younger. Both say too much rather than too little, and the lesser counts.
"""

from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime, timedelta
from operator import itemgetter

from backbone.events.topics import PartitionId

MOST = 500
"""Looks that are remembered of a partition: when there are more, each second one is forgotten."""
_end_of = itemgetter(0)


class Ages:
    """Remembers for each partition at which looks its log ended where."""

    def __init__(self) -> None:
        self._looks: dict[PartitionId, list[tuple[int, datetime]]] = {}

    def look(self, place: PartitionId, position: int, end: int, now: datetime, read: datetime | None) -> timedelta:
        """Note where a log ends now, and return for how long at most something has waited there; 0 where nothing does.

        `read` is when Kafka took the last record before the reader's position, if that is known. Of a reader that was
        behind at the first look already, and has read nothing since, it is the time since that look.
        """
        looks = self._looks.setdefault(place, [])
        if looks and end < looks[-1][0]:  # another log
            looks.clear()
        looks.append((end, now))
        del looks[: max(0, bisect_right(looks, position, key=_end_of) - 1)]
        if len(looks) > MOST:
            del looks[1::2]
        reached, since = looks[0]
        if position >= end:
            return timedelta(0)
        known = [at for at in (since if reached <= position else None, read) if at is not None]
        return max(timedelta(0), now - max(known, default=since))

    def forget_others(self, places: Mapping[PartitionId, object]) -> None:
        """Forget partitions that are there no more."""
        self._looks = {place: looks for place, looks in self._looks.items() if place in places}
