"""Says what Grafana shows: three dashboards, of panels that are a title, a unit and some expressions each."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.observability.objectives import OBJECTIVES, WITHIN, Objective

PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
WIDE, HIGH, ACROSS = 12, 8, 24
_TIMELINE, _NUMBER = "timeseries", "stat"


@dataclass(frozen=True)
class Panel:
    """Describes a panel: each expression goes with how its lines are called."""

    title: str
    unit: str
    shown: tuple[tuple[str, str], ...]
    about: str = ""
    kind: str = _TIMELINE
    exemplars: bool = False

    def written(self, number: int) -> dict[str, Any]:
        """Return the panel as Grafana has it, the so-manyth of its dashboard."""
        across = ACROSS // WIDE
        return {
            "id": number + 1,
            "title": self.title,
            "description": self.about,
            "type": self.kind,
            "datasource": PROMETHEUS,
            "gridPos": {"x": number % across * WIDE, "y": number // across * HIGH, "w": WIDE, "h": HIGH},
            "fieldConfig": {"defaults": {"unit": self.unit}, "overrides": []},
            "targets": list(self._targets()),
        }

    def _targets(self) -> Iterator[dict[str, Any]]:
        for letter, (expr, legend) in zip("ABCDEFGH", self.shown, strict=False):
            yield {
                "refId": letter,
                "datasource": PROMETHEUS,
                "expr": expr,
                "legendFormat": legend,
                "exemplar": self.exemplars,
            }


@dataclass(frozen=True)
class Dashboard:
    """Describes a dashboard."""

    name: str
    title: str
    panels: Sequence[Panel]

    def written(self) -> str:
        """Write the dashboard as Grafana reads it."""
        return (
            json.dumps(
                {
                    "uid": f"sliceline-{self.name}",
                    "title": self.title,
                    "tags": ["sliceline"],
                    "schemaVersion": 39,
                    "editable": False,
                    "refresh": "30s",
                    "time": {"from": "now-3h", "to": "now"},
                    "panels": [each.written(number) for number, each in enumerate(self.panels)],
                },
                indent=2,
            )
            + "\n"
        )


def _quantiles(histogram: str, *labels: str, where: str = "") -> tuple[tuple[str, str], ...]:
    by, called = ", ".join(("le", *labels)), " ".join(f"{{{{{each}}}}}" for each in labels)
    return tuple(
        (
            f"histogram_quantile({quantile}, sum by ({by}) (rate({histogram}_bucket{where}[$__rate_interval])))",
            f"{called} {quantile:.0%}".strip(),
        )
        for quantile in (0.5, 0.99)
    )


def _by(gauge: str, *labels: str) -> tuple[tuple[str, str], ...]:
    return ((f"max by ({', '.join(labels)}) ({gauge})", " ".join(f"{{{{{each}}}}}" for each in labels)),)


def _rates(counter: str, *labels: str) -> tuple[tuple[str, str], ...]:
    by, called = ", ".join(labels), " ".join(f"{{{{{each}}}}}" for each in labels)
    return ((f"sum by ({by}) (rate({counter}[$__rate_interval]))", called),)


def _left(of: Objective) -> Panel:
    expr = f"1 - {of.ratio('30d')} / {of.allowed:g}"
    return Panel(f"{of.name}: what is left of the month's errors", "percentunit", ((expr, "left"),), of.about, _NUMBER)


def _burn(of: Objective) -> Panel:
    shown = tuple((f"{of.ratio(window)} / {of.allowed:g}", window) for window in ("5m", "1h", "6h", "3d"))
    return Panel(f"{of.name}: times as fast as allowed", "none", shown, of.about)


SHOP = Dashboard(
    "shop",
    "Sliceline: the shop",
    (
        *(panel for each in OBJECTIVES for panel in (_left(each), _burn(each))),
        Panel(
            "Orders answered",
            "reqps",
            (
                (
                    "sum by (status) (rate(sliceline_http_requests_total"
                    '{method="POST",route="/orders"}[$__rate_interval]))',
                    "{{status}}",
                ),
            ),
        ),
        Panel(
            "From acceptance to confirmation",
            "s",
            _quantiles("sliceline_orders_confirmed_seconds", where='{backordered="no"}'),
            f"Without those that wait for stock; {WITHIN} s are promised.",
            exemplars=True,
        ),
        Panel("The order that waits longest for it", "s", _by("sliceline_orders_unconfirmed_oldest_seconds", "status")),
        Panel(
            "Is anything lost?",
            "short",
            _by("sliceline_balance_difference", "consumer"),
            "Events that the balance sheet misses, or has twice.",
        ),
    ),
)
EVENTS = Dashboard(
    "events",
    "Sliceline: events",
    (
        Panel(
            "From an event to its effect",
            "s",
            _quantiles("sliceline_pathway_seconds", "consumer"),
            "Outbox, topic and handler together.",
            exemplars=True,
        ),
        Panel("Waiting in the outbox", "s", _quantiles("sliceline_outbox_wait_seconds", "job"), exemplars=True),
        Panel("Behind, in seconds", "s", _by("sliceline_consumer_lag_seconds", "consumer", "topic")),
        Panel("Behind, in events", "short", _by("sliceline_consumer_lag", "job", "topic")),
        Panel("Handled", "ops", _rates("sliceline_handled_events_total", "job", "type")),
        Panel("Published", "ops", _rates("sliceline_relayed_events_total", "job")),
        Panel("Not published yet", "short", _by("sliceline_outbox_events", "job")),
        Panel("Parked", "short", _by("sliceline_dead_letters", "job")),
        Panel("Parked for", "s", _by("sliceline_dead_letters_oldest_seconds", "job")),
        Panel("Refused by Kafka", "short", _by("sliceline_refused_events", "job")),
    ),
)
SERVICES = Dashboard(
    "services",
    "Sliceline: services",
    (
        Panel("What needs a person", "short", _by("sliceline_backlog_needs", "job")),
        Panel("Processes that answer", "short", (("sum by (job) (up)", "{{job}}"),)),
        Panel("Requests", "reqps", _rates("sliceline_http_requests_total", "job", "status")),
        Panel(
            "Until an answer begins",
            "s",
            _quantiles("sliceline_http_request_seconds", "job"),
            exemplars=True,
        ),
        Panel("Turned away", "reqps", _rates("sliceline_http_limited_total", "job", "limit")),
        Panel("Attempts at jobs", "ops", _rates("sliceline_jobs_total", "job", "kind", "outcome")),
        Panel("Jobs due for", "s", _by("sliceline_jobs_due_oldest_seconds", "job", "kind")),
        Panel("Jobs failing for", "s", _by("sliceline_jobs_failing_oldest_seconds", "job", "kind")),
        Panel("Jobs given up", "short", _by("sliceline_jobs_parked", "job", "kind")),
        Panel("Processor time", "percentunit", _rates("process_cpu_seconds_total", "job")),
        Panel("Memory", "bytes", _by("process_resident_memory_bytes", "job")),
    ),
)
DASHBOARDS = (SHOP, EVENTS, SERVICES)
