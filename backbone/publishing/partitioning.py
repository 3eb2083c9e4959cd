"""Chooses a key's partition as Kafka's Java client would, so that every producer agrees.

The hash is org.apache.kafka.common.utils.Utils.murmur2, which aiokafka has too. Key by key in Python it costs more than
all else that the relay does for an event; here it is computed for many keys at once, each in a lane of 64 bits of one
long integer. A lane holds 32 bits; the upper half is room for products, and is masked away after every step.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence

_MULTIPLIER = 0x5BD1E995
_SEED = 0x9747B28C


def partitions_of(keys: Iterable[bytes], partitions: int) -> dict[bytes, int]:
    """Compute the partition (from 0) of each key in a topic of so many partitions."""
    by_length: dict[int, list[bytes]] = defaultdict(list)
    for key in set(keys):
        by_length[len(key)].append(key)
    return {
        key: (hashed & 0x7FFFFFFF) % partitions
        for alike in by_length.values()
        for key, hashed in zip(alike, _murmur2(alike), strict=True)
    }


def _murmur2(keys: Sequence[bytes]) -> Sequence[int]:
    """Compute the hash of each key; all keys have the same length."""
    length, ones = len(keys[0]), _lanes([1] * len(keys))
    low = ones * 0xFFFFFFFF
    words, rest = _columns(keys)
    h = ones * (_SEED ^ length)
    for k in words:
        k = k * _MULTIPLIER & low
        k = (k ^ k >> 24) & low
        h = (h * _MULTIPLIER & low) ^ (k * _MULTIPLIER & low)
    if length % 4:
        h = (h ^ rest) * _MULTIPLIER & low
    h = ((h ^ h >> 13) & low) * _MULTIPLIER & low
    h = (h ^ h >> 15) & low
    return struct.unpack(f"<{len(keys)}Q", h.to_bytes(8 * len(keys), "little"))


def _columns(keys: Sequence[bytes]) -> tuple[list[int], int]:
    """Split keys into their first words, second words and so on, and the rests at their ends, filled with zeros."""
    width = len(keys[0]) // 4 + 1
    words = struct.unpack(f"<{width * len(keys)}I", b"".join(key.ljust(4 * width, b"\0") for key in keys))
    columns = [_lanes(words[place::width]) for place in range(width)]
    return columns[:-1], columns[-1]


def _lanes(numbers: Sequence[int]) -> int:
    return int.from_bytes(struct.pack(f"<{len(numbers)}Q", *numbers), "little")
