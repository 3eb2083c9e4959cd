"""Keeps the offsets at which a consumer goes on in the partitions that are assigned to it.

A partition has a position from when its place is taken until it is given up, lost, or sought anew: an assignment
epoch. What was read in one epoch counts for nothing in another.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from backbone.consuming.batch import Batch, Incoming
from backbone.events.topics import PartitionId


@dataclass(frozen=True)
class Found:
    """Holds what a poll brought, by partition, with the offset after it and the epochs in which it was asked for.

    `taken` is when Kafka took the last record of each, in milliseconds.
    """

    incoming: Mapping[PartitionId, list[Incoming]]
    ends: Mapping[PartitionId, int]
    epochs: Mapping[PartitionId, object]
    taken: Mapping[PartitionId, int] = field(default_factory=dict)


class Positions:
    """Knows the next offset of each partition whose epoch lasts."""

    def __init__(self) -> None:
        self._next: dict[PartitionId, int] = {}
        self._epochs: dict[PartitionId, object] = {}
        self._read: dict[PartitionId, int] = {}

    def __contains__(self, partition: PartitionId) -> bool:
        return partition in self._next

    def __getitem__(self, partition: PartitionId) -> int:
        return self._next[partition]

    @property
    def offsets(self) -> dict[PartitionId, int]:
        """A copy of the next offsets."""
        return dict(self._next)

    @property
    def epochs(self) -> dict[PartitionId, object]:
        """A token for each epoch that lasts."""
        return dict(self._epochs)

    @property
    def read(self) -> dict[PartitionId, datetime]:
        """When Kafka took the last record before each next offset, where that is known."""
        return {each: datetime.fromtimestamp(taken / 1000, UTC) for each, taken in self._read.items()}

    def begin(self, partition: PartitionId, offset: int) -> None:
        """Begin an epoch at this offset."""
        self._next[partition] = offset
        self._epochs[partition] = object()

    def end(self, partitions: Iterable[PartitionId]) -> None:
        """End the epochs of these partitions: each is sought anew if it is still assigned."""
        for each in partitions:
            self._next.pop(each, None)
            self._epochs.pop(each, None)
            self._read.pop(each, None)

    def end_all(self) -> None:
        """End every epoch."""
        self.end(list(self._next))

    def pass_over(self, batch: Batch) -> None:
        """Move past a settled batch, in the partitions whose epochs last."""
        self._next.update({each: end for each, end in batch.ends.items() if each in self._next})

    def note_times(self, found: Found) -> None:
        """Note when Kafka took what was found, of those partitions in which all of it is settled."""
        self._read.update({each: at for each, at in found.taken.items() if self._next.get(each) == found.ends[each]})

    def batch_of(self, found: Found) -> Batch | None:
        """Make a batch of what was read in epochs that have lasted; end those of which anything else was read."""
        lasting = dict(found.epochs.items() & self._epochs.items())
        kept = [each for each in found.ends if each in lasting]
        self.end(found.ends.keys() - set(kept))
        ranges = {each: (at, end) for each in kept if (end := found.ends[each]) > (at := self._next[each])}
        return Batch(_in_order(found.incoming, ranges), ranges) if ranges else None


def _in_order(incoming: Mapping[PartitionId, list[Incoming]], partitions: Collection[PartitionId]) -> list[Incoming]:
    return [each for partition in partitions for each in incoming.get(partition, ())]
