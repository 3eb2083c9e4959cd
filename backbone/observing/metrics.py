"""Defines what a process counts, under the names that dashboards use, and writes it as Prometheus asks for it."""

from collections.abc import Iterable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from backbone.observing.telemetry import trace_id_of
from backbone.version import VERSION

_OPENMETRICS = "application/openmetrics-text"
WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

BUILD = Info("sliceline_build", "The version of Sliceline that the process runs")
BUILD.info({"version": VERSION})
RELAYED = Counter("sliceline_relayed_events_total", "Events that the relay published")
REFUSED = Counter("sliceline_event_refusals_total", "Events that Kafka refused for themselves, set aside by the relay")
OUTBOX_WAIT = Histogram(
    "sliceline_outbox_wait_seconds", "From the time of a batch's oldest event to its acknowledgement", buckets=WAITS
)
HANDLED = Counter("sliceline_handled_events_total", "Events whose effects were committed", ["type"])
READ = Counter(
    "sliceline_read_events_total",
    "Events of a type and version that the consumer listens to, handled now or known before; 0: it listens, none came",
    ["consumer", "type"],
)
REPEATED = Counter("sliceline_repeated_events_total", "Deliveries that the inbox knew already")
SKIPPED = Counter("sliceline_skipped_events_total", "Events of a type that nobody here listens to")
PARKED = Counter("sliceline_parked_events_total", "Events set aside as dead letters")
PATHWAY = Histogram(
    "sliceline_pathway_seconds",
    "From an event's time to its committed effects, by who handled it and its type; `any` of who takes all types alike",
    ["consumer", "type"],
    buckets=WAITS,
)
LAG = Gauge(
    "sliceline_consumer_lag", "Records of all partitions behind the topic's end, by the stored places", ["topic"]
)
LAG_SECONDS = Gauge(
    "sliceline_consumer_lag_seconds",
    "How long the oldest record behind which the consumer stands has been in the topic, at most; 0: there is none",
    ["consumer", "topic"],
)
LOG_BREAKS = Counter("sliceline_log_breaks_total", "Stored places that did not fit their topic", ["topic", "what"])
UNREAD = Counter("sliceline_unread_events_total", "Records known to be gone before they were read", ["topic"])
LIMITED = Counter("sliceline_http_limited_total", "Requests answered 429, by the limit that they met", ["limit"])
JOBS_DONE = Counter("sliceline_jobs_total", "Job attempts by how they ended", ["kind", "outcome"])


def exemplar_of(traceparent: str | None) -> dict[str, str] | None:
    """Return what leads from a measurement to its trace; None where it has none."""
    trace_id = trace_id_of(traceparent)
    return {"trace_id": trace_id} if trace_id else None


class _All(Collector):
    """Collects what several collectors do."""

    def __init__(self, collectors: Iterable[Collector]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, one collector's after the other's."""
        for each in self._collectors:
            yield from each.collect()


def exposed(accept: str, *others: Collector) -> tuple[bytes, str]:
    """Write what the process counts and what `others` tell, and name the format.

    It is OpenMetrics' where a request's Accept names that: only there do measurements lead to their traces.
    """
    everything = _All((REGISTRY, *others))
    if any(each.split(";")[0].strip() == _OPENMETRICS for each in accept.split(",")):
        write, content_type = choose_encoder(_OPENMETRICS)
        return write(everything), content_type
    return generate_latest(everything), CONTENT_TYPE_LATEST
