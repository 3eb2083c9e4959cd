"""Prometheus raises each alarm when it should, and no other: promtool runs the rules over series that are given."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deployment.observability.alarms import ALARMS
from deployment.observability.files import PROMETHEUS, RULES
from deployment.observability.objectives import burning
from local import ROOT

PROGRAM = shutil.which("promtool")
pytestmark = pytest.mark.skipif(
    PROGRAM is None and "SLICELINE_TEST_WHOLE" not in os.environ,
    reason="there is no promtool here; Debian's package prometheus has it",
)
EVERY = {each.name: each for each in (*burning(), *ALARMS)}
Series = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """Series, a value a minute or `every` so often, that raise an alarm `at` a time, and others that do not.

    `labels` are the alarm's beside its severity.
    """

    raising: Series
    at: str
    says: str
    quiet: Series
    labels: Mapping[str, str] = field(default_factory=dict)
    every: str = "1m"


ORDERS = {"job": "orders"}
CHARGE = {"job": "payments", "kind": "charge"}
PLACED = 'sliceline_http_requests_total{job="orders",method="POST",route="/orders",status="%d"}'
TURNED_AWAY = 'sliceline_http_limited_total{job="orders",limit="%s"}'
CONFIRMED = 'sliceline_orders_confirmed_seconds_count{job="orders",backordered="no"}'
SOON = 'sliceline_orders_confirmed_seconds_bucket{job="orders",backordered="no",le="60.0"}'


def of_orders(name: str, value: float) -> Series:
    return {f'{name}{{job="orders"}}': f"{value}x60"}


def of_charges(**values: float) -> Series:
    return {
        f'sliceline_jobs_{name}{{job="payments",kind="charge"}}': f"{values.get(name, 0)}x60"
        for name in ("due_oldest_seconds", "in_hand", "resting", "parked", "failing_oldest_seconds")
    }


CASES = {
    "AcceptingBurnsFast": Case(
        {PLACED % 202: "0+98x120", PLACED % 503: "0+2x120"},
        "70m",
        "accepting: 2% went wrong, and 0.1% is allowed.",
        {PLACED % 202: "0+1000x120", PLACED % 503: "0+1x120", PLACED % 422: "0+900x120"},
    ),
    "AcceptingBurnsSlowly": Case(
        {PLACED % 202: "0+995x90", TURNED_AWAY % "admission": "0+5x90"},
        "800m",
        "accepting: 0.5% went wrong, and 0.1% is allowed.",
        {PLACED % 202: "0+995x90", TURNED_AWAY % "client": "0+5x90"},
        every="10m",
    ),
    "ConfirmingBurnsFast": Case(
        {CONFIRMED: "0+10x120", SOON: "0+5x120"},
        "70m",
        "confirming: 50% went wrong, and 1.0% is allowed.",
        {CONFIRMED: "0 0 1 2 2x120", SOON: "0x124"},  # two late orders, and no others
    ),
    "ConfirmingBurnsSlowly": Case(
        {CONFIRMED: "0+50x90", SOON: "0+49x90"},
        "800m",
        "confirming: 2% went wrong, and 1.0% is allowed.",
        {CONFIRMED: "0+200x90", SOON: "0+199x90"},
        every="10m",
    ),
    "ProcessUnreachable": Case(
        {'up{job="orders",instance="orders:8000"}': "0x60"},
        "3m",
        "orders does not answer at orders:8000.",
        {'up{job="orders",instance="orders:8000"}': "1 1 0 1x60"},
        {**ORDERS, "instance": "orders:8000"},
    ),
    "ProcessRestarts": Case(
        {'process_start_time_seconds{job="orders",instance="orders:8000"}': "1 2 3 4 5x60"},
        "8m",
        "orders has begun 4 times within a quarter of an hour.",
        {'process_start_time_seconds{job="orders",instance="orders:8000"}': "1 2 3x60"},
        {**ORDERS, "instance": "orders:8000"},
    ),
    "TablesUnread": Case(
        of_orders("sliceline_backlog_read", 0),
        "6m",
        "The tables of orders cannot be read, so nobody knows what waits there.",
        of_orders("sliceline_backlog_read", 1),
        ORDERS,
    ),
    "OrdersUnconfirmed": Case(
        of_orders("sliceline_orders_unconfirmed_oldest_seconds", 660),
        "3m",
        "An order has been neither confirmed nor rejected for 11m 0s.",
        of_orders("sliceline_orders_unconfirmed_oldest_seconds", 600),
        ORDERS,
    ),
    "EventsParked": Case(
        of_orders("sliceline_dead_letters", 3),
        "6m",
        "orders has parked 3 events: it could not handle one, and others wait behind it.",
        of_orders("sliceline_dead_letters", 0),
        ORDERS,
    ),
    "EventsRefused": Case(
        of_orders("sliceline_refused_events", 2),
        "6m",
        "Kafka refuses an event of orders for its own sake, and others wait behind it.",
        of_orders("sliceline_refused_events", 0),
        ORDERS,
    ),
    "NothingPublished": Case(
        of_orders("sliceline_outbox_oldest_seconds", 120),
        "3m",
        "orders has not published an event for 2m 0s.",
        of_orders("sliceline_outbox_oldest_seconds", 30),
        ORDERS,
    ),
    "ConsumerBehind": Case(
        {'sliceline_consumer_lag_seconds{job="kitchen",consumer="kitchen",topic="orders.events"}': "0+60x60"},
        "20m",
        "kitchen is 20m 0s behind orders.events.",
        {'sliceline_consumer_lag_seconds{job="kitchen",consumer="kitchen",topic="orders.events"}': "0+60x9 0x60"},
        {"job": "kitchen", "topic": "orders.events"},
    ),
    "PlacesLost": Case(
        {'sliceline_log_breaks_total{job="orders",topic="payments.events",what="gone"}': "0 0 0 1x60"},
        "8m",
        "A place of orders in payments.events does not fit its log any more.",
        {'sliceline_log_breaks_total{job="orders",topic="payments.events",what="gone"}': "1x60"},
        {**ORDERS, "topic": "payments.events"},
    ),
    "JobsGivenUp": Case(of_charges(parked=2), "6m", "payments has given up 2 charge jobs.", of_charges(), CHARGE),
    "JobsFailing": Case(
        of_charges(failing_oldest_seconds=420),
        "3m",
        "A charge job of payments has failed for 7m 0s.",
        of_charges(failing_oldest_seconds=200),
        CHARGE,
    ),
    "JobsNotDone": Case(
        of_charges(due_oldest_seconds=480),
        "3m",
        "charge jobs of payments have been due for 8m 0s, and nobody does them.",
        of_charges(due_oldest_seconds=480, in_hand=5),  # a rush
        CHARGE,
    ),
    "BalanceBroken": Case(
        {'sliceline_balance_difference{job="ledger",consumer="loyalty"}': "1x60"},
        "6m",
        "1 events are missing at loyalty, or were handled twice there.",
        {'sliceline_balance_difference{job="ledger",consumer="loyalty"}': "0x60"},
        {"consumer": "loyalty"},
    ),
    "BalanceSilent": Case(
        {'sliceline_balance_silent_seconds{job="ledger",service="loyalty"}': "0+60x60"},
        "10m",
        "loyalty does not answer the ledger, so a loss there would not be noticed.",
        {'sliceline_balance_silent_seconds{job="ledger",service="loyalty"}': "60x60"},
        {"service": "loyalty"},
    ),
    "RequestsFail": Case(
        {'sliceline_http_requests_total{job="orders",method="GET",route="/menu",status="500"}': "0+1x60"},
        "8m",
        "orders fails requests.",
        {'sliceline_http_requests_total{job="orders",method="GET",route="/menu",status="404"}': "0+1x60"},
        ORDERS,
    ),
    "PausedForLong": Case(
        {'sliceline_pauses{job="orders"}': "1x90"},
        "65m",
        "Somebody has paused something of orders an hour ago, and not resumed it.",
        {'sliceline_pauses{job="orders"}': "1x50 0x40"},
        ORDERS,
    ),
}


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    run("check", "rules", str(RULES))
    run("check", "config", "--syntax-only", str(PROMETHEUS))


def test_there_is_a_case_for_each_alarm() -> None:
    assert CASES.keys() == EVERY.keys()


@pytest.mark.parametrize("name", CASES)
def test_an_alarm_is_raised_when_it_should_and_says_so(name: str, tmp_path: Path) -> None:
    case, alarm = CASES[name], EVERY[name]
    told = {
        "exp_labels": {"severity": alarm.severity, **case.labels},
        "exp_annotations": {"summary": case.says, "runbook": alarm.section},
    }
    tried(tmp_path, name, case.raising, case.at, told, every=case.every)


@pytest.mark.parametrize("name", CASES)
def test_an_alarm_is_not_raised_otherwise(name: str, tmp_path: Path) -> None:
    tried(tmp_path, name, CASES[name].quiet, CASES[name].at, every=CASES[name].every)


def test_jobs_that_rest_because_what_they_call_is_away_are_no_jobs_that_nobody_does(tmp_path: Path) -> None:
    tried(tmp_path, "JobsNotDone", of_charges(due_oldest_seconds=480, resting=1), "3m")


def test_an_alarm_of_an_objective_ends_soon_after_its_cause(tmp_path: Path) -> None:
    failing_for_an_hour = {PLACED % 202: "0+98x120", PLACED % 503: "0+2x60 120x60"}
    tried(tmp_path, "AcceptingBurnsFast", failing_for_an_hour, "96m")


def tried(folder: Path, name: str, series: Series, at: str, *told: Mapping[str, Any], every: str = "1m") -> None:
    """Have promtool hold what is raised `at` a time to what should be; a document of JSON is one of YAML."""
    test = {
        "interval": every,
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "alert_rule_test": [{"eval_time": at, "alertname": name, "exp_alerts": list(told)}],
    }
    rules, file = folder / "rules.yml", folder / "test.yml"
    rules.write_text(RULES.read_text().replace('interval: "1m"', f'interval: "{every}"'))
    # As Prometheus has them one after the other; by itself promtool takes groups in any order, each time another.
    order = [each["name"] for each in msgspec.yaml.decode(rules.read_bytes())["groups"]]
    whole = {"rule_files": [str(rules)], "evaluation_interval": every, "group_eval_order": order, "tests": [test]}
    file.write_text(json.dumps(whole))
    run("test", "rules", str(file))


def run(*command: str) -> None:
    assert PROGRAM is not None, "promtool is missing"
    done = subprocess.run([PROGRAM, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
