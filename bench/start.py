"""Measures `./sliceline up` on data that is there, beside ten bare FastAPI processes: start, memory, and idle time."""

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench import meter, programs
from bench.result import Results, Row, better
from bench.rounds import Sample, Series, interleave
from bench.stage import Stage
from local import HOME, probes, state
from local.program import Program, Server, await_ready, python
from services import CATALOGUE

# However many services there are: what they share, is to pay for those that come.
PROCESSES = 10
MOST_MEMORY = 1.2 * 1024
MOST_IDLE = 5.0


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
    spent, bare_spent, ratio = (
        series.value("up", "cpu"),
        series.value("bare", "cpu"),
        series.ratio("up", "bare", "cpu", less=True),
    )
    results.add(Row("start", "up, processor time", spent, peer, bare_spent, "CPU s", ratio, 1 / 3))
    ratio = better(memory, MOST_MEMORY, less=True)
    results.add(Row("start", "memory", memory, "1.2 GiB", MOST_MEMORY, "MiB (PSS)", ratio, 1.0))
    idle = series.value("up", "idle")
    ratio = better(idle, MOST_IDLE, less=True)
    results.add(Row("start", "idle, all services", idle, "5%", MOST_IDLE, "% of a core", ratio, 1.0))
    _note(results, series)
    series.account(results, "start")
    return results


def _note(results: Results, series: Series) -> None:
    """Say what bare processes need, and how memory and idle time divide among ours."""
    memory, idle = series.value("bare", "memory"), series.value("bare", "idle")
    results.note(f"{PROCESSES} bare processes, without their Postgres: {memory:,.0f} MiB (PSS), {idle:.2g}% of a core.")
    results.note(f"{len(CATALOGUE)} services. MiB: {_listed(series, 'MiB', '.0f')}.")
    results.note(f"Idle, % of a core: {_listed(series, '%', '.2f')}.")


def _listed(series: Series, unit: str, form: str) -> str:
    names = [name for name in series.rounds[0]["up"].more if name.endswith(unit)]
    return ", ".join(f"{name.removesuffix(f' {unit}')} {series.value('up', name):{form}}" for name in names)


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
        seconds, reading, spent = time.perf_counter() - began, clock.read(), meter.tree_cpu(server.pid)
        time.sleep(stage.scale.of(10, 5))
        found = {"cpu": spent} | _idle(stage, home) | _memory(home, server)
    return Sample(seconds, reading, found)


def _is_ready(home: Path) -> bool:
    now = state.read(home)
    return now is not None and now.phase == state.RUNNING


def _memory(home: Path, server: Server) -> dict[str, float]:
    parts = {f"{name} MiB": meter.memory([pid]) for name, pid in _pids(home).items()}
    return {**parts, "memory": meter.memory([server.pid])}


def _idle(stage: Stage, home: Path) -> dict[str, float]:
    """Return what everybody uses of a core while nobody wants anything, but the robot, who goes on looking for work."""
    shares = _shares(_pids(home), stage.scale.of(60, 20))
    return {**{f"{name} %": share for name, share in shares.items()}, "idle": sum(shares[name] for name in CATALOGUE)}


def _shares(pids: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Return the percentage of a core that each process uses in a span of time."""
    clock = meter.Meter(pids)
    time.sleep(seconds)
    reading = clock.read()
    return {name: 100 * spent / reading.seconds for name, spent in reading.cpu.items()}


def _pids(home: Path) -> dict[str, int]:
    now = state.read(home)
    return {row.name: row.pid for row in now.rows.values() if row.pid} if now else {}


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
        spent = sum(meter.tree_cpu(server.pid) for server in servers)
        memory = meter.memory([server.pid for server in servers])
        idle = sum(_shares({server.program.name: server.pid for server in servers}, stage.scale.of(20, 5)).values())
    return Sample(seconds, reading, {"cpu": spent, "memory": memory, "idle": idle})
