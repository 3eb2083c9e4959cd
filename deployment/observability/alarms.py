"""Says what somebody is told of by Prometheus, and what each such alarm means; `docs/runbook.md` says what to do.

Of several replicas the worst counts, and a service that is asked in Prometheus is its `job`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PAGE, TICKET = "page", "ticket"
"""Somebody is to look now, or on a working day."""
RUNBOOK = "docs/runbook.md"


@dataclass(frozen=True)
class Alarm:
    """Describes an alarm: when it is raised, after how long, whom it calls, and one sentence of what it means."""

    name: str
    expr: str
    after: str
    severity: str
    says: str

    @property
    def section(self) -> str:
        """Where the runbook tells of it, as code hosts name a heading's place."""
        return f"{RUNBOOK}#{self.name.lower()}"

    def rule(self) -> Mapping[str, Any]:
        """Return the alarm as a rule of Prometheus."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.after,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.says, "runbook": self.section},
        }


def _worst(gauge: str, *labels: str) -> str:
    return f"max by ({', '.join(('job', *labels))}) ({gauge})"


_JOB, _KIND = "{{ $labels.job }}", "{{ $labels.kind }}"

ALARMS = (
    Alarm("ProcessUnreachable", "up == 0", "2m", PAGE, f"{_JOB} does not answer at {{{{ $labels.instance }}}}."),
    Alarm(
        "ProcessRestarts",
        "changes(process_start_time_seconds[15m]) > 3",
        "0m",
        PAGE,
        f"{_JOB} has begun {{{{ $value }}}} times within a quarter of an hour.",
    ),
    Alarm(
        "TablesUnread",
        "min by (job) (sliceline_backlog_read) == 0",
        "5m",
        PAGE,
        f"The tables of {_JOB} cannot be read, so nobody knows what waits there.",
    ),
    Alarm(
        "OrdersUnconfirmed",
        _worst("sliceline_orders_unconfirmed_oldest_seconds") + " > 600",
        "2m",
        PAGE,
        "An order has been neither confirmed nor rejected for {{ $value | humanizeDuration }}.",
    ),
    Alarm(
        "EventsParked",
        _worst("sliceline_dead_letters") + " > 0",
        "5m",
        PAGE,
        f"{_JOB} has parked {{{{ $value }}}} events: it could not handle one, and others wait behind it.",
    ),
    Alarm(
        "EventsRefused",
        _worst("sliceline_refused_events") + " > 0",
        "5m",
        PAGE,
        f"Kafka refuses an event of {_JOB} for its own sake, and others wait behind it.",
    ),
    Alarm(
        "NothingPublished",
        _worst("sliceline_outbox_oldest_seconds") + " > 60",
        "2m",
        PAGE,
        f"{_JOB} has not published an event for {{{{ $value | humanizeDuration }}}}.",
    ),
    Alarm(
        "ConsumerBehind",
        _worst("sliceline_consumer_lag_seconds", "topic") + " > 300",
        "10m",
        PAGE,
        f"{_JOB} is {{{{ $value | humanizeDuration }}}} behind {{{{ $labels.topic }}}}.",
    ),
    Alarm(
        "PlacesLost",
        "sum by (job, topic) (increase(sliceline_log_breaks_total[10m])) > 0",
        "0m",
        PAGE,
        f"A place of {_JOB} in {{{{ $labels.topic }}}} does not fit its log any more.",
    ),
    Alarm(
        "JobsGivenUp",
        _worst("sliceline_jobs_parked", "kind") + " > 0",
        "5m",
        PAGE,
        f"{_JOB} has given up {{{{ $value }}}} {_KIND} jobs.",
    ),
    Alarm(
        "JobsFailing",
        _worst("sliceline_jobs_failing_oldest_seconds", "kind") + " > 300",
        "2m",
        PAGE,
        f"A {_KIND} job of {_JOB} has failed for {{{{ $value | humanizeDuration }}}}.",
    ),
    Alarm(
        "JobsNotDone",
        _worst("sliceline_jobs_due_oldest_seconds", "kind")
        + " > 300 and "
        + _worst("sliceline_jobs_in_hand", "kind")
        + " == 0 and "
        + _worst("sliceline_jobs_resting", "kind")
        + " == 0",
        "2m",
        PAGE,
        f"{_KIND} jobs of {_JOB} have been due for {{{{ $value | humanizeDuration }}}}, and nobody does them.",
    ),
    Alarm(
        "BalanceBroken",
        "max by (consumer) (sliceline_balance_difference) > 0",
        "5m",
        PAGE,
        "{{ $value }} events are missing at {{ $labels.consumer }}, or were handled twice there.",
    ),
    Alarm(
        "BalanceSilent",
        "max by (service) (sliceline_balance_silent_seconds) > 300",
        "2m",
        TICKET,
        "{{ $labels.service }} does not answer the ledger, so a loss there would not be noticed.",
    ),
    Alarm(
        "RequestsFail",
        'sum by (job) (rate(sliceline_http_requests_total{status=~"5.."}[5m])) > 0',
        "5m",
        TICKET,
        f"{_JOB} fails requests.",
    ),
    Alarm(
        "PausedForLong",
        _worst("sliceline_pauses") + " > 0",
        "1h",
        TICKET,
        f"Somebody has paused something of {_JOB} an hour ago, and not resumed it.",
    ),
)
