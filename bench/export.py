"""Measures `./sliceline export`: how fast it writes events as Parquet, and that its memory does not grow with them.

The same command exports a topic when it holds a part of the events, and when it holds all of them.
"""

import asyncio
import shutil
import time
from contextlib import suppress
from pathlib import Path

import psutil

from bench import events, meter
from bench.result import Results, Row, better
from bench.rounds import Sample, Series, interleave
from bench.stage import Stage
from local.program import Program, Server, python
from local.program import run as start

ITEMS = 1000
HOURLY = 10_000_000
GROWTH = 1.2
"""How many times the memory may be for so many times the events: both sizes fill the buffers."""


def run(stage: Stage) -> Results:
    results = Results()
    few, many = stage.scale.of((250_000, 1_000_000), (100_000, 200_000))
    stage.migrate()
    small, large = _measured(stage, few, few), _measured(stage, many, many - few)
    goal, rate, memory = HOURLY / 3600, large.value("export"), large.value("export", "memory")
    results.add(Row("export", f"{many:,} events", rate, "ten million an hour", goal, "events/s", rate / goal, 1.0))
    before, peer = small.value("export", "memory"), f"{few:,} events"
    growth = better(memory, before, less=True)
    results.add(Row("export", f"memory, {many:,} events", memory, peer, before, "MiB (peak)", growth, 1 / GROWTH))
    results.note(f"At this rate ten million events take {HOURLY / rate / 60:.0f} minutes.")
    sizes = {name: large.value("export", name) / many for name in ("parquet", "account")}
    results.note(f"An event takes {sizes['parquet']:.0f} bytes of Parquet and {sizes['account']:.0f} of the account.")
    small.account(results, f"export, {few:,} events")
    large.account(results, f"export, {many:,} events")
    return results


def _measured(stage: Stage, count: int, added: int) -> Series:
    """Export the topic again and again, once `added` events have made it `count`."""
    stage.tell(f"filling the topic with {count:,} events")
    asyncio.run(events.fill_topic(stage.kafka.admin, added, ITEMS))
    rounds, spare = stage.scale.of(3, 1), stage.scale.spare
    return interleave({"export": lambda: _export(stage, count)}, rounds, stage.tell, spare=spare)


def _export(stage: Stage, count: int) -> Sample:
    folder = stage.folder / "exported"
    shutil.rmtree(folder, ignore_errors=True)
    stage.settle()
    command = python("-m", "bench.elsewhere", str(stage.folder), "export", "--to", str(folder))
    program = Program("export", command, env={"SLICELINE_KAFKA": stage.bootstrap})
    began, clock = time.perf_counter(), stage.meter()
    memory = _until_it_ends(start(program, stage.folder / "export.log"))
    seconds, reading = time.perf_counter() - began, clock.read()
    sizes = {"parquet": _size(folder, "*.parquet"), "account": _size(folder, "ledger.*")}
    return Sample(count / seconds, reading, {"memory": memory, **sizes})


def _until_it_ends(server: Server) -> float:
    """Return the most MiB that a process held until it ended."""
    peak, process = 0, psutil.Process(server.pid)
    while server.process.poll() is None:
        with suppress(psutil.Error):
            peak = max(peak, process.memory_info().rss)
        time.sleep(0.02)
    if server.process.returncode != 0:
        raise RuntimeError(f"the export ended with exit code {server.process.returncode}:\n{server.log.read_text()}")
    return peak / meter.MEBIBYTE


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern))
