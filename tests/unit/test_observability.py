"""Alarms, objectives, dashboards and the runbook name each other and what services really measure."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY
from prometheus_client.utils import floatToGoString

from backbone.storage import gauges
from deployment.networks import worker_of
from deployment.observability.alarms import ALARMS, Alarm
from deployment.observability.dashboards import DASHBOARDS
from deployment.observability.files import COLLECTOR, DATASOURCES, FOLDER, OTLP, PROMETHEUS, files
from deployment.observability.objectives import OBJECTIVES, WITHIN, burning, recorded
from deployment.observability.yaml import document
from local import ROOT
from services import CATALOGUE
from services.orders.measuring import CONFIRMED
from tests.all_services import SERVICES
from tests.unit.test_told_commands import _parse

EVERY = (*burning(), *ALARMS)
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
SECTIONS = dict(zip(*[iter(re.split(r"^## (\w+)$", RUNBOOK, flags=re.MULTILINE)[1:])] * 2, strict=True))
SELECTOR = re.compile(r"\b((?:sliceline|process)_\w+|up)\b(?:\{([^}]*)\})?")
OF_PROMETHEUS = {"up": {"job", "instance"}}
OF_A_SCRAPE = {"job", "instance", "le"}


def expressions() -> Iterator[str]:
    yield from (each["expr"] for each in recorded())
    yield from (each.expr for each in EVERY)
    yield from (expr for board in DASHBOARDS for panel in board.panels for expr, _ in panel.shown)


def served() -> dict[str, set[str]]:
    """What services serve, by the names of series, with their labels."""
    found: dict[str, set[str]] = dict(OF_PROMETHEUS)
    for name, collector in REGISTRY._names_to_collectors.items():
        found[name] = set(getattr(collector, "_labelnames", ()))
    found |= {f"sliceline_{name}": set() for name in ("backlog_read", *gauges.OF_EVENTS)}
    found |= {f"sliceline_{name}": {"kind"} for name in gauges.OF_JOBS}
    return found | {f"sliceline_{each.name}": {each.label} for one in SERVICES.values() for each in one.gauges}


@pytest.mark.parametrize("expr", sorted(set(expressions())))
def test_every_series_that_is_asked_for_is_served_with_the_labels_that_are_asked_for(expr: str) -> None:
    """`test_measuring.py` holds what is served to a process that runs."""
    known = served()
    selected = SELECTOR.findall(expr)
    assert selected or "sliceline:" in expr
    for name, matchers in selected:
        assert name in known
        assert set(re.findall(r"(\w+)(?:=~?|!=)\"", matchers)) <= known[name] | OF_A_SCRAPE
    labels = {label for group in re.findall(r"by \(([^)]*)\)", expr) for label in group.split(", ")}
    assert labels <= set().union(*(known[name] for name, _ in selected)) | OF_A_SCRAPE


def test_every_recorded_series_that_is_asked_for_is_recorded() -> None:
    names = {each["record"] for each in recorded()}
    asked = {name for expr in expressions() for name in re.findall(r"sliceline:[\w:]+", expr)}
    assert asked == names


def test_what_is_promised_is_a_bound_of_a_bucket() -> None:
    assert f"{float(WITHIN)}" in map(floatToGoString, CONFIRMED._upper_bounds)


def test_each_alarm_has_its_section_in_the_runbook_and_each_section_an_alarm() -> None:
    assert list(SECTIONS) == [each.name for each in EVERY]
    assert len({each.section for each in EVERY}) == len(EVERY)


@pytest.mark.parametrize("alarm", EVERY, ids=lambda alarm: alarm.name)
def test_a_section_says_what_it_means_how_to_look_and_what_to_do(alarm: Alarm) -> None:
    text = SECTIONS[alarm.name]
    for word in ("Means", "Look", "Do"):
        assert re.search(rf"^\*\*{word}\.\*\* \S", text, re.MULTILINE), word
    assert "./sliceline" in text or "dashboard" in text or "](#" in text or "As above" in text


@pytest.mark.parametrize("command", sorted(set(re.findall(r"\./sliceline [^`)]+(?=[`)])", RUNBOOK))))
def test_a_command_that_the_runbook_names_is_one_that_there_is(command: str) -> None:
    _parse(command.replace("NUMBER", "7"))


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(#(\w+)\)", RUNBOOK))))
def test_a_link_within_the_runbook_leads_to_a_section(link: str) -> None:
    assert link in {name.lower() for name in SECTIONS}


def test_an_objective_says_what_it_promises() -> None:
    for each in OBJECTIVES:
        assert f"{each.target * 100:g} %" in each.about


def test_dashboards_ask_the_sources_that_grafana_is_told_of() -> None:
    sources = {each["uid"] for each in msgspec.yaml.decode(DATASOURCES.read_bytes())["datasources"]}
    for board in DASHBOARDS:
        written = json.loads((FOLDER / f"{board.name}.json").read_text())
        assert {panel["datasource"]["uid"] for panel in written["panels"]} <= sources
        titles = [panel["title"] for panel in written["panels"]]
        assert len(titles) == len(set(titles))
        places = [tuple(panel["gridPos"].values()) for panel in written["panels"]]
        assert len(places) == len(set(places))


def test_prometheus_asks_every_service_and_its_workers() -> None:
    told = msgspec.yaml.decode(PROMETHEUS.read_bytes())["scrape_configs"]
    asked = {each["job_name"]: each["dns_sd_configs"][0]["names"] for each in told}
    assert asked == {name: [worker_of(name)] for name in CATALOGUE}
    assert [each["static_configs"][0]["targets"] for each in told] == [[f"{name}:8000"] for name in CATALOGUE]


def test_the_collector_listens_where_services_are_told_to_send() -> None:
    told = msgspec.yaml.decode(COLLECTOR.read_bytes())
    assert told["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == f"0.0.0.0:{OTLP}"
    pipeline = told["service"]["pipelines"]["traces"]
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == told[kind].keys()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.name)
def test_what_is_written_as_yaml_is_read_as_it_was_meant(path: Path) -> None:
    text = files(list(CATALOGUE))[path]
    assert document(msgspec.yaml.decode(text)) == text


@pytest.mark.parametrize(
    "value",
    [
        {"a": 'it\'s "both"', "b": [], "c": {}, "d": [[1, 2], [3]], "e": None},
        {"text": 'two\nlines "here"', "list": [{"a": 1, "b": [True, 1.5]}, "x"], "said": "yes", "other": "- no: #"},
    ],
)
def test_any_value_comes_back_from_yaml(value: dict[str, object]) -> None:
    assert msgspec.yaml.decode(document(value)) == value
