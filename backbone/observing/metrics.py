"""Defines what a process counts, under the names that dashboards use."""

from prometheus_client import Counter, Gauge, Histogram

_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

RELAYED = Counter("sliceline_relayed_events_total", "Events that the relay published")
REFUSED = Counter("sliceline_refused_events_total", "Events that Kafka refused for themselves, set aside by the relay")
OUTBOX_WAIT = Histogram(
    "sliceline_outbox_wait_seconds", "From the time of a batch's oldest event to its acknowledgement", buckets=_WAITS
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
TOPIC_WAIT = Histogram("sliceline_topic_wait_seconds", "From an event's time to its committed effects", buckets=_WAITS)
LAG = Gauge(
    "sliceline_consumer_lag", "Records of all partitions behind the topic's end, by the stored places", ["topic"]
)
LOG_BREAKS = Counter("sliceline_log_breaks_total", "Stored places that did not fit their topic", ["topic", "what"])
UNREAD = Counter("sliceline_unread_events_total", "Records known to be gone before they were read", ["topic"])
LIMITED = Counter("sliceline_http_limited_total", "Requests answered 429, by the limit that they met", ["limit"])
JOBS_DONE = Counter("sliceline_jobs_total", "Job attempts by how they ended", ["kind", "outcome"])
