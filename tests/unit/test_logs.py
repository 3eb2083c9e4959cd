"""What of a library's chatter gets into the log."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import aiosmtplib
import httpx
import pytest
import structlog

from backbone.errors import SlicelineError
from backbone.observing import logs
from backbone.running.pulse import report


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    vars(logs.logger).pop("bind", None)  # structlog's cache of how the logger was set up when first used


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


@pytest.mark.parametrize("level", [logging.ERROR, logging.CRITICAL])
def test_what_the_kafka_client_complains_of_is_no_error(level: int) -> None:
    stream = io.StringIO()
    logs.start("orders", "INFO", "json", stream)
    logging.getLogger("aiokafka.consumer.group_coordinator").log(level, "Group Coordinator Request failed: %s", "[15]")
    logging.getLogger("ours").log(level, "Something is wrong")
    client, ours = map(json.loads, stream.getvalue().splitlines())
    assert (client["level"], client["event"]) == ("warning", "Group Coordinator Request failed: [15]")
    assert ours["level"] == logging.getLevelName(level).lower()


def test_what_somebody_has_typed_begins_no_line_of_its_own() -> None:
    stream = io.StringIO()
    logs.start("orders", "INFO", "json", stream)
    logging.getLogger("ours").warning("so\r\n%s", '{"level": "error", "event": "forged"}\x00')
    logs.logger.warning("said", actor='eve"}\n{"event": "forged"}')
    assert [json.loads(line)["level"] for line in stream.getvalue().split("\n") if line] == ["warning", "warning"]


class Declined(SlicelineError):
    """Something we foresee."""


@pytest.mark.parametrize(
    "error",
    [
        Declined(),
        TimeoutError("slow"),
        ConnectionRefusedError(111, "refused"),
        httpx.ConnectError("refused"),
        aiosmtplib.SMTPDataError(451, "Try again later"),
        aiosmtplib.SMTPServerDisconnected("Connection lost"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_retry_that_was_foreseen_is_one_line_without_a_stack_trace(error: Exception) -> None:
    [line] = _reported(error)
    assert (line["level"], line["part"], line["delay_s"]) == ("warning", "jobs charge", 2.0)
    assert "exception" not in line


@pytest.mark.parametrize("error", [TypeError("a bug"), KeyError("order")])
def test_a_retry_after_a_bug_shows_where_it_is(error: Exception) -> None:
    [line] = _reported(error)
    assert (line["level"], line["exception"][0]["exc_type"]) == ("error", type(error).__name__)


def _reported(error: Exception) -> list[dict[str, Any]]:
    stream = io.StringIO()
    logs.start("payments", "INFO", "json", stream)
    report("jobs charge", error, timedelta(seconds=2))
    return [json.loads(line) for line in stream.getvalue().splitlines()]
