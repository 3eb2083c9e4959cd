"""Writes all files of the profile `observability`: rules, dashboards, and what each of its programs is told."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deployment.networks import worker_of
from deployment.observability.alarms import ALARMS
from deployment.observability.dashboards import DASHBOARDS
from deployment.observability.objectives import burning, recorded
from deployment.observability.yaml import document

FOLDER = Path(__file__).with_name("made")
RULES, PROMETHEUS, COLLECTOR = FOLDER / "rules.yml", FOLDER / "prometheus.yml", FOLDER / "collector.yml"
DATASOURCES, PROVIDERS = FOLDER / "datasources.yml", FOLDER / "providers.yml"
PORT = 8000
"""Where services answer in containers."""
OTLP = 4318


def files(services: Sequence[str]) -> Mapping[Path, str]:
    """Return the text of every file, by its path."""
    documents = {
        RULES: rules(),
        PROMETHEUS: scraping(services),
        COLLECTOR: collecting(),
        DATASOURCES: datasources(),
        PROVIDERS: providers(),
    }
    shown = {FOLDER / f"{each.name}.json": each.written() for each in DASHBOARDS}
    return {**{path: document(each) for path, each in documents.items()}, **shown}


def committed() -> list[Path]:
    """List the files that are there."""
    return [*FOLDER.glob("*.yml"), *FOLDER.glob("*.json")]


def rules() -> Mapping[str, Any]:
    """Return Prometheus's rules: what it records of objectives, and its alarms."""
    alarms = [each.rule() for each in (*burning(), *ALARMS)]
    return {
        "groups": [
            {"name": "objectives", "interval": "1m", "rules": list(recorded())},
            {"name": "alarms", "rules": alarms},
        ]
    }


def scraping(services: Sequence[str]) -> Mapping[str, Any]:
    """Return Prometheus's configuration. A service is a job, with its workers, however many there are."""
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["/etc/prometheus/rules.yml"],
        "scrape_configs": list(_jobs(services)),
    }


def _jobs(services: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for name in services:
        yield {
            "job_name": name,
            # By its name, so that one that is gone is missed; workers are those that there are.
            "static_configs": [{"targets": [f"{name}:{PORT}"]}],
            "dns_sd_configs": [{"names": [worker_of(name)], "type": "A", "port": PORT}],
        }


def collecting() -> Mapping[str, Any]:
    """Return the collector's configuration: it takes spans from services and hands them on to Jaeger."""
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"0.0.0.0:{OTLP}"}}}},
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_mib": 256},
            "batch": {"timeout": "1s"},
        },
        "exporters": {"otlp": {"endpoint": "jaeger:4317", "tls": {"insecure": True}}},
        "service": {
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": ["memory_limiter", "batch"], "exporters": ["otlp"]}
            }
        },
    }


def datasources() -> Mapping[str, Any]:
    """Return where Grafana asks; an exemplar leads to its trace."""
    to_trace = {"name": "trace_id", "datasourceUid": "jaeger"}
    return {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Prometheus",
                "type": "prometheus",
                "uid": "prometheus",
                "url": "http://prometheus:9090",
                "isDefault": True,
                "jsonData": {"timeInterval": "15s", "exemplarTraceIdDestinations": [to_trace]},
            },
            {"name": "Jaeger", "type": "jaeger", "uid": "jaeger", "url": "http://jaeger:16686"},
        ],
    }


def providers() -> Mapping[str, Any]:
    """Return where Grafana finds its dashboards."""
    options = {"path": "/etc/grafana/dashboards"}
    return {
        "apiVersion": 1,
        "providers": [{"name": "sliceline", "type": "file", "allowUiUpdates": False, "options": options}],
    }
