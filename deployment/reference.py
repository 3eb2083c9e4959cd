"""Writes the page of settings and metrics from the code that reads and counts them."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import REGISTRY
from pydantic.fields import FieldInfo

from backbone.events.contracts import SCHEMAS
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage import gauges

REFERENCE = SCHEMAS.parent / "docs" / "reference.md"
INTRODUCTION = """\
# Settings and metrics

Written by `./sliceline contracts` from the code; a test holds it to that. What to do with them:
[operating](operating.md).

## Settings

Environment variables of a service's process. One that cannot be is refused at the start, with the reason. `up` hands
its own environment on, so `SLICELINE_LOG_LEVEL=DEBUG ./sliceline up` sets one for all.
"""
METRICS = """\
## Metrics

At `/metrics` of every process, in Prometheus's format. Counters and histograms are of the process and begin anew with
it; gauges of the backlog are read from the tables at each look, so they are the same in every replica.
"""
_SUFFIXES = {"counter": "_total", "info": "_info"}


def reference(services: dict[str, Service[Any]]) -> Iterator[str]:
    """Return the page's lines."""
    yield INTRODUCTION
    yield from _settings(Settings, {})
    for name, service in services.items():
        if service.settings is not Settings:
            yield f"### {name}\n"
            yield from _settings(service.settings, Settings.model_fields)
    yield METRICS
    yield "| metric | type | what it tells |\n| --- | --- | --- |"
    yield from (f"| `{name}` | {kind} | {about} |" for name, kind, about in sorted(_metrics(services)))
    yield ""


def _settings(settings: type[Settings], told: dict[str, FieldInfo]) -> Iterator[str]:
    yield "| variable | default | what it says |\n| --- | --- | --- |"
    for name, field in settings.model_fields.items():
        if name not in told:
            variable = str(field.validation_alias or f"SLICELINE_{name.upper()}")
            yield f"| `{variable}` | {_default(field)} | {field.description} |"
    yield ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    return "" if field.default in (None, "") else f"`{field.default}`"


def _metrics(services: dict[str, Service[Any]]) -> Iterator[tuple[str, str, str]]:
    for metric in REGISTRY.collect():
        if metric.name.startswith("sliceline_"):
            yield metric.name + _SUFFIXES.get(metric.type, ""), metric.type, metric.documentation
    for name, (about, _) in (*gauges.OF_EVENTS.items(), *gauges.OF_JOBS.items()):
        yield f"sliceline_{name}", "gauge", about
    for service in services.values():
        yield from ((f"sliceline_{each.name}", "gauge", each.about) for each in service.gauges)
