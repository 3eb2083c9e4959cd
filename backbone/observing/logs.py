"""Writes structured logs: a sentence, a stable `action`, and the trace, order and event that the line is about."""

import logging
import sys
import time
from typing import Any, TextIO

import orjson
from opentelemetry import trace

from backbone.absent import absent

with absent("rich"):  # for tracebacks that we never have drawn; it is a twentieth of a process's start
    import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict

SILENCE = 10.0
"""Seconds for which the Kafka client does not repeat itself."""

logger: structlog.typing.FilteringBoundLogger = structlog.get_logger("sliceline")


def start(service: str, level: str, log_format: str, stream: TextIO = sys.stdout) -> None:
    """Make every log line of this process, also those of libraries, go to `stream` in one shape."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _Constant("service", service),
        _add_trace,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=_rendering(log_format), foreign_pre_chain=shared)
    )
    handler.addFilter(_Repetitions("aiokafka"))
    handler.addFilter(_calm)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "aiokafka", "alembic", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _rendering(log_format: str) -> list[structlog.typing.Processor]:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "console":
        return [remove, structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    # Never the local variables: they hold customers' data.
    tracebacks = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    return [remove, tracebacks, _without_details, structlog.processors.JSONRenderer(serializer=_dumps)]


def _without_details(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Keep the first line of what an error says: Postgres tells the offending row's values in the next, its DETAIL."""
    for each in event.get("exception", ()):
        each["exc_value"] = each["exc_value"].split("\n", 1)[0][:500]
    return event


def _dumps(event: EventDict, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def _add_trace(_logger: Any, _method: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", f"{context.trace_id:032x}")
    return event


class _Constant:
    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        event[self._name] = self._value
        return event


def _calm(record: logging.LogRecord) -> bool:
    """Make errors of the Kafka client warnings: whatever it complains of, it tries again.

    Whoever uses it says when something really fails.
    """
    if record.name.startswith("aiokafka") and record.levelno > logging.WARNING:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


class _Repetitions:
    """Silences a client that says ten times a second that its broker is away."""

    def __init__(self, library: str) -> None:
        self._library = library
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether it was not said a moment ago; the unfilled message is alike for all brokers and partitions."""
        if not record.name.startswith(self._library):
            return True
        now, what = time.monotonic(), str(record.msg)
        if now - self._said.get(what, -SILENCE) < SILENCE:
            return False
        self._said[what] = now
        return True
