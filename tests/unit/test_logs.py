"""What of a library's chatter gets into the log."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from backbone import logs


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_the_kafka_client_does_not_repeat_itself_while_its_broker_is_away() -> None:
    stream = io.StringIO()
    logs.start("orders", "INFO", "json", stream)
    for node in range(100):
        logging.getLogger("aiokafka.consumer").error("Unable to connect to node %s", node)
        logging.getLogger("aiokafka").warning("Another thing")
        logging.getLogger("ours").warning("Said every time")
    said = stream.getvalue()
    assert said.count("Unable to connect to node 0") == said.count("Unable to connect") == 1
    assert said.count("Another thing") == 1
    assert said.count("Said every time") == 100
