"""Names the partitions of topics, and says how long topics keep events."""

from datetime import timedelta

PartitionId = tuple[str, int]
"""A topic and the number of one of its partitions."""

RETENTION = timedelta(days=7)
"""How long topics keep their events: migration makes them so, and the inbox has to remember for longer."""
