"""Names the partitions of topics, and the bus that everything is on unless it says otherwise."""

PartitionId = tuple[str, int]
"""A topic and the number of one of its partitions."""

DEFAULT_BUS = "default"
"""The bus of whatever names no other one."""
