"""Runs the harness: `./sliceline chaos`, which says what can be given, is `python -m tests.faults`."""

import argparse
import asyncio
import json
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from local import HOME
from tests.faults import builds, disks
from tests.faults.chaos import Report, Run, run
from tests.faults.schedule import KINDS, SHORT
from tests.faults.strikes import SERVERS_OF_DISKS

ORDERS_A_MINUTE = 330


def main() -> int:
    """Run it; 1 when a promise was broken."""
    given = _given()
    folder = HOME / "chaos" / str(given.seed)
    shutil.rmtree(folder, ignore_errors=True)
    _say(f"seed {given.seed}; the history and all logs are in {folder}")
    absent = left_out(given.kinds)
    kinds = [kind for kind in given.kinds if kind not in absent]
    if not kinds:
        raise SystemExit("None of these faults can be had here.")
    other = _other_build(given.build, folder) if "rolling" in kinds else builds.THIS
    what = Run(given.seed, given.minutes * 60, given.orders, kinds, folder, absent, other)
    report = asyncio.run(run(what, _say))
    sys.stdout.write((json.dumps(report) if given.json else told(report)) + "\n")
    _tidy(what.folder, failed=bool(report["violations"]))
    return 1 if report["violations"] else 0


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def told(report: Report) -> str:
    """Say it in words."""
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in report.items() if name != "violations"]
    broken = report["violations"]
    return "\n".join([*lines, f"violations: {len(broken)}", *(f"  {each}" for each in broken[:50])])


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./sliceline chaos")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--orders", type=int)
    parser.add_argument("--kinds")
    parser.add_argument("--build")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.orders = given.orders or round(given.minutes * ORDERS_A_MINUTE)
    given.kinds = _kinds(parser, given.kinds, given.minutes)
    return given


def _kinds(parser: argparse.ArgumentParser, text: str | None, minutes: float) -> tuple[str, ...]:
    """Those named; by default all where there is time, else those of a short run."""
    if text is None:
        return tuple(KINDS) if minutes >= 5 else SHORT
    chosen = tuple(KINDS) if text == "all" else tuple(text.split(","))
    if unknown := [each for each in chosen if each not in KINDS]:
        parser.error(f"there is no fault {', '.join(unknown)}; there are {', '.join(KINDS)}")
    return chosen


def left_out(kinds: Sequence[str]) -> dict[str, str]:
    """Say which of these kinds this machine cannot have, and why; from then on it has what the others need."""
    wanted = [kind for kind in kinds if kind in SERVERS_OF_DISKS]
    try:
        if wanted:
            disks.enter_namespace()
    except OSError as error:
        why = f"no small disk can be mounted here ({error})"
        _say(f"left out: {', '.join(wanted)}: {why}")
        return dict.fromkeys(wanted, why)
    return {}


def _other_build(name: str | None, folder: Path) -> builds.Build:
    """Have another build to roll with, or this one where there is no other."""
    try:
        build = builds.export(name, folder / "build")
    except builds.NoBuild as error:
        if name is not None:
            raise SystemExit(f"There is no build {name} to roll with: {error}") from None
        _say(f"rolling has two processes of this build: {error}")
        return builds.THIS
    _say(f"rolling has this build and {build.name} side by side")
    return build


def _tidy(folder: Path, *, failed: bool) -> None:
    """Servers' data is of no use afterwards; logs and history are, after a failure."""
    for name in ("postgres", "kafka", "build"):
        shutil.rmtree(folder / name, ignore_errors=True)
    if not failed:
        for log in folder.glob("*.log"):
            log.unlink()


if __name__ == "__main__":
    sys.exit(main())
