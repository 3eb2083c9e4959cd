"""The supervisor, with small real processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local import ROOT, probes
from local.processes import Identity, identity_of, is_alive
from local.program import Program, last_lines, python
from local.state import Row
from local.supervisor import Backoff, StartFailed, Supervisor, rotate
from tests.waiting import eventually, wait_until

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


class Running:
    """A supervisor and the rows it keeps."""

    def __init__(self, logs: Path) -> None:
        self.rows: dict[str, Row] = {}
        self.stopped: list[str] = []
        self.supervisor = Supervisor(logs, self._changed, lambda: Backoff(first=0.01, most=0.05))
        self.logs = logs

    def start(self, name: str, code: str, stage: int = 0, stop_seconds: float = 5) -> Row:
        row = self.rows[name] = Row(name)
        log = self.logs / f"{name}.log"
        program = Program(
            name,
            python("-c", code),
            ready=lambda: "up" in last_lines(log, 1),
            stage=stage,
            stop_seconds=stop_seconds,
        )
        self.supervisor.start(program, row)
        return row

    def pid(self, name: str) -> int:
        pid = self.rows[name].pid
        assert pid is not None
        return pid

    def _changed(self) -> None:
        for name, row in self.rows.items():
            if row.state == "stopped" and name not in self.stopped:
                self.stopped.append(name)


@asynccontextmanager
async def running(logs: Path) -> AsyncIterator[Running]:
    harness = Running(logs)
    try:
        yield harness
    finally:
        harness.supervisor.hurry()
        await harness.supervisor.stop()


async def test_a_process_that_is_killed_runs_again(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        row = harness.start("one", SLEEPER)
        await harness.supervisor.wait_ready("one", 10)
        first = harness.pid("one")
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: row.restarts == 1 and row.state == "ready", 10)
        assert harness.pid("one") != first


async def test_later_stages_stop_first(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        for name, stage in (("server", 0), ("sandbox", 1), ("service", 2)):
            harness.start(name, SLEEPER, stage)
        for name in harness.rows:
            await harness.supervisor.wait_ready(name, 10)
        await harness.supervisor.stop()
        assert harness.stopped == ["service", "sandbox", "server"]


async def test_who_ignores_the_request_to_stop_is_killed_at_the_deadline(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.start("stubborn", STUBBORN, stop_seconds=0.2)
        await harness.supervisor.wait_ready("stubborn", 10)
        identity = identity_of(harness.pid("stubborn"))
        await harness.supervisor.stop()
        assert not is_alive(identity)


async def test_hurrying_does_not_wait_for_the_deadline(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.start("stubborn", STUBBORN, stop_seconds=60)
        await harness.supervisor.wait_ready("stubborn", 10)
        harness.supervisor.hurry()
        async with asyncio.timeout(5):
            await harness.supervisor.stop()


async def test_a_process_that_keeps_dying_while_starting_is_given_up(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        row = harness.start("broken", "raise SystemExit('no such setting')")
        with pytest.raises(StartFailed, match="broken ended 3 times while starting"):
            await harness.supervisor.wait_ready("broken", 20)
        assert row.state == "failed"
        assert "no such setting" in (tmp_path / "broken.log").read_text()


async def test_a_command_that_does_not_exist_is_given_up_too(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.supervisor.start(Program("gone", (str(tmp_path / "nothing"),)), Row("gone"))
        with pytest.raises(StartFailed, match="No such file"):
            await harness.supervisor.wait_ready("gone", 20)


async def test_a_process_that_is_never_ready_is_late(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.start("mute", "import time; time.sleep(60)")
        with pytest.raises(StartFailed, match="mute was not ready within 0 s"):
            await harness.supervisor.wait_ready("mute", 0.1)


async def test_stopping_while_it_waits_to_start_again_starts_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.supervisor = Supervisor(tmp_path, lambda: None, lambda: Backoff(first=60))
        row = harness.start("dead", "print('up', flush=True)")
        await eventually(lambda: row.state == "restarting", 10)
        async with asyncio.timeout(5):
            await harness.supervisor.stop()
        assert row.pid is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends the leftovers")
def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from local.program import Program, python\n"
        "from local.state import Row\n"
        "from local.supervisor import Supervisor\n"
        "async def main():\n"
        f"    row, logs = Row('child'), pathlib.Path({str(tmp_path)!r})\n"
        "    supervisor = Supervisor(logs, lambda: None)\n"
        "    supervisor.start(Program('child', python('-c', 'import time; time.sleep(60)')), row)\n"
        "    await supervisor.wait_ready('child', 10)\n"
        "    print(row.pid, row.started, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(python("-c", script), stdout=subprocess.PIPE, text=True, cwd=ROOT, env=_env()) as parent:
        assert parent.stdout is not None
        pid, started = parent.stdout.readline().split()
        parent.kill()
    identity = Identity(int(pid), float(started))
    wait_until(lambda: not is_alive(identity), 10)


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_the_pause_doubles_up_to_thirty_seconds_and_is_forgiven_after_a_long_life() -> None:
    backoff = Backoff()
    assert [backoff.after(lived=1) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert backoff.after(lived=61) == 1
    assert backoff.after(lived=1) == 2


def test_a_large_log_is_moved_aside_under_a_process_that_keeps_writing(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        rotate(log, limit=1000)
        assert not (tmp_path / "one.log.1").exists()
        rotate(log, limit=10)
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "one.log.1").read_bytes() == b"old\n" * 10


def test_nothing_answers_where_nobody_listens(unused_tcp_port: int) -> None:
    assert not probes.http_ready(unused_tcp_port)
    assert not probes.postgres(unused_tcp_port)
    assert not probes.kafka(unused_tcp_port)
    assert probes.get_json(unused_tcp_port, "/") is None
