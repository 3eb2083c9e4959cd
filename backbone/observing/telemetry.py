"""Keeps one trace from the HTTP request through outbox, topic, handlers and jobs, by W3C traceparent."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import islice

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, TraceFlags
from opentelemetry.util.types import AttributeValue

from backbone.absent import absent
from backbone.values.tracecontext import Traceparent, begin, parse

with absent("psutil"):  # for a process's own figures, which nobody asked for
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON

Attributes = Mapping[str, AttributeValue]

MOST_LINKS = 128
"""What a span keeps by default (OTEL_SPAN_LINK_COUNT_LIMIT)."""
LAST_SPANS_WITHIN = 1.5
"""Seconds."""
_recording = True
_tracer = trace.get_tracer("sliceline")


def start(service: str, endpoint: str | None) -> TracerProvider:
    """Set up tracing of this process. Without an endpoint spans are not recorded, but trace ids still travel."""
    global _recording
    _recording = bool(endpoint)
    provider = TracerProvider(
        resource=Resource({"service.name": f"sliceline-{service}"}),
        sampler=DEFAULT_ON if endpoint else ALWAYS_OFF,
        shutdown_on_exit=False,
    )
    if endpoint:
        # Imported only where it is used: it takes a tenth of a process's start.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


def is_recording() -> bool:
    """Tell whether spans of this process go anywhere."""
    return _recording


def stop(provider: TracerProvider) -> None:
    """Send what is still held, but only for a moment: a collector may be away, and a process has to end."""
    ending = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
    ending.start()
    ending.join(LAST_SPANS_WITHIN)


@contextmanager
def span(
    name: str,
    kind: SpanKind,
    *,
    parent: str | None = None,
    links: Iterable[str | None] = (),
    attributes: Attributes | None = None,
) -> Iterator[Span]:
    """Begin a span below `parent` (a traceparent; none: the current one), linked to others that it merely knows."""
    if not _recording:
        with trace.use_span(trace.NonRecordingSpan(_span_context(parent) or _current_or_new())) as passed_on:
            yield passed_on
        return
    linked = [Link(known) for each in islice(links, MOST_LINKS) if (known := _span_context(each)) is not None]
    with _tracer.start_as_current_span(name, _context(parent), kind, attributes, linked) as current:
        try:
            yield current
        except Exception as error:
            current.set_attribute("error.type", type(error).__qualname__)
            raise


def messaging(
    operation: str,
    topic: str,
    kind: SpanKind,
    *,
    parent: str | None = None,
    links: Iterable[str | None] = (),
    attributes: Attributes | None = None,
) -> AbstractContextManager[Span]:
    """Begin a span of create, send or process, named and described as OpenTelemetry's conventions for messaging ask.

    https://opentelemetry.io/docs/specs/semconv/messaging/kafka/
    """
    common: Attributes = {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
    all_attributes = {**common, **(attributes or {})}
    return span(f"{operation} {topic}", kind, parent=parent, links=links, attributes=all_attributes)


def traceparent_of(current: Span | None = None) -> str | None:
    """Return the W3C traceparent of a span (none given: of the current one), None outside of any."""
    context = (current or trace.get_current_span()).get_span_context()
    if not context.is_valid:
        return None
    return str(Traceparent(context.trace_id, context.span_id, bool(context.trace_flags & TraceFlags.SAMPLED)))


def _current_or_new() -> trace.SpanContext:
    """Return the current span's context or begin a trace: unrecorded, it is an id that everything has in common."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid:
        return current
    new = begin()
    return trace.SpanContext(new.trace_id, new.span_id, False)


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the id of the trace that a traceparent belongs to, as logs have it."""
    known = parse(traceparent)
    return f"{known.trace_id:032x}" if known else None


def _context(traceparent: str | None) -> Context | None:
    known = _span_context(traceparent)
    return trace.set_span_in_context(trace.NonRecordingSpan(known)) if known else None


def _span_context(traceparent: str | None) -> trace.SpanContext | None:
    known = parse(traceparent)
    flags = TraceFlags(TraceFlags.SAMPLED if known and known.is_sampled else TraceFlags.DEFAULT)
    return trace.SpanContext(known.trace_id, known.span_id, True, flags) if known else None
