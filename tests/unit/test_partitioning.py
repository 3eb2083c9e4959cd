"""The choice of a partition, held to aiokafka's and to the Java client's own test values."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from backbone.publishing.partitioning import partitions_of

# org.apache.kafka.common.utils.UtilsTest.testMurmur2
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@given(st.lists(st.binary(max_size=50)), st.integers(1, 100))
def test_every_key_goes_where_other_producers_put_it(keys: list[bytes], partitions: int) -> None:
    numbers = list(range(partitions))
    theirs = {key: DefaultPartitioner()(key, numbers, numbers) for key in keys}
    assert partitions_of(keys, partitions) == theirs


@pytest.mark.parametrize("key", JAVA)
def test_the_java_client_agrees(key: bytes) -> None:
    for partitions in (12, 2**31):
        assert partitions_of([key], partitions) == {key: (JAVA[key] & 0x7FFFFFFF) % partitions}
