"""Measures `./sliceline up` on data that is there, beside as many bare FastAPI processes, and the memory of all."""

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench import meter, programs
from bench.result import Results, Row, better, median
from bench.rounds import Sample, interleave
from bench.stage import Stage
from local import HOME, probes, state
from local.program import Program, Server, await_ready, python
from services import CATALOGUE

# What `up` runs of Python that serves HTTP: every service, the provider and the mail sink.
PROCESSES = len(CATALOGUE) + 2


def run(stage: Stage) -> Results:
    results = Results()
    home = _home(stage)
    bare = stage.new_database("bare")
    stage.tell("first start")
    _up(stage, home)
    with stage.running(programs.peer("bare", bare)):
        pass  # its table is there from now on: this is about second starts
    contestants: dict[str, Callable[[], Sample]] = {
        "up": lambda: _up(stage, home),
        "bare": lambda: _bare(stage, bare),
    }
    series = interleave(contestants, stage.scale.of(5, 3), stage.tell, spare=stage.scale.spare)
    ours, theirs, ratio = series.value("up"), series.value("bare"), series.ratio("up", "bare", less=True)
    peer = f"{PROCESSES} bare FastAPI processes"
    results.add(Row("start", "up, second start", ours, peer, theirs, "s", ratio, 1 / 3))
    results.add(Row("start", "up, second start", ours, "20 s", 20.0, "s", better(ours, 20, less=True), 1.0))
    memory = series.value("up", "memory")
    results.add(Row("start", "memory", memory, "2 GiB", 2048.0, "MiB (PSS)", better(memory, 2048, less=True), 1.0))
    bares = series.value("bare", "memory")
    results.note(f"The {PROCESSES} bare processes take {bares:,.0f} MiB (PSS), without their Postgres.")
    parts = [name for name in series.rounds[0]["up"].more if name != "memory"]
    each = {name: median([found["up"].more[name] for found in series.rounds]) for name in parts}
    results.note("MiB: " + ", ".join(f"{name} {value:.0f}" for name, value in each.items()) + ".")
    series.account(results, "start")
    return results


def _home(stage: Stage) -> Path:
    """Make a data directory of its own, with what there is of Kafka: its jars, and its classes as Java keeps them."""
    home = stage.folder / "home"
    home.mkdir()
    for path in HOME.glob("kafka-*"):
        shutil.copy(path, home)
    return home


def _up(stage: Stage, home: Path) -> Sample:
    stage.settle()
    offset = programs.free_layout(home).offset
    began, clock = time.perf_counter(), stage.meter()
    program = Program(
        name="up",
        command=python("-m", "bench.elsewhere", str(home), "up", "--port-offset", str(offset)),
        ready=lambda: _is_ready(home),
        stop_seconds=60,
    )
    with stage.running(program) as server:
        seconds, reading = time.perf_counter() - began, clock.read()
        time.sleep(stage.scale.of(5, 1))
        memory = _memory(home, server)
    return Sample(seconds, reading, memory)


def _is_ready(home: Path) -> bool:
    now = state.read(home)
    return now is not None and now.phase == state.RUNNING


def _memory(home: Path, server: Server) -> dict[str, float]:
    now = state.read(home)
    rows = now.rows.values() if now else ()
    parts = {row.name: meter.memory([row.pid]) for row in rows if row.pid}
    return {**parts, "memory": meter.memory([server.pid])}


def _bare(stage: Stage, database: str) -> Sample:
    crew = [programs.peer("bare", database, label=f"bare {number}") for number in range(PROCESSES)]
    stage.settle()
    began, clock = time.perf_counter(), stage.meter()
    with ExitStack() as stack:
        # All at once, as `up` does it; only then waited for.
        servers = [stack.enter_context(stage.running(replace(program, ready=probes.nothing))) for program in crew]
        for program, server in zip(crew, servers, strict=True):
            await_ready(replace(server, program=program))
        seconds, reading = time.perf_counter() - began, clock.read()
        memory = meter.memory([server.pid for server in servers])
    return Sample(seconds, reading, {"memory": memory})
