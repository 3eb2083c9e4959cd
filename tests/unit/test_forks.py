"""Services as forks of one parent: small real modules, forked, killed, changed and forked anew."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from local import ROOT, forks, programs
from local.forks import Forked, Forks
from local.layout import Layout
from local.processes import Identity, identity_of, is_alive
from local.program import Program, python
from local.state import Row
from local.supervisor import Backoff, StartFailed, Supervisor
from tests.waiting import eventually, wait_until

pytestmark = pytest.mark.skipif(not forks.POSSIBLE, reason="nothing is forked on this system")

# Each fork says what it found, and stays.
TELLS = """
import json, os, random, signal, sys, threading, time
import helper, uuid_utils

def told():
    return {
        "pid": os.getpid(), "parent": os.getppid(), "group": os.getpgid(0), "cwd": os.getcwd(), "main": __name__,
        "name": open("/proc/self/comm").read().strip(), "arguments": sys.argv[1:], "given": os.environ.get("GIVEN"),
        "random": random.getrandbits(64), "ids": [str(uuid_utils.uuid7()) for _ in range(3)],
        "helper": helper.WORD, "loaded_in": helper.PID,
        "terms": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "threads": len(os.listdir("/proc/self/task")), "stands_back": os.getpriority(os.PRIO_PROCESS, 0),
        "files": sorted(os.readlink(f"/proc/self/fd/{each}").partition(":")[0] for each in os.listdir("/proc/self/fd")
                        if os.path.exists(f"/proc/self/fd/{each}")),
    }

if __name__ == "__main__":
    print(json.dumps(told()), flush=True)
    if "ends" in sys.argv:
        sys.exit(int(sys.argv[-1]))
    time.sleep(60)
"""
HELPER = "import os, uuid_utils\nWORD = {word!r}\nPID = os.getpid()\nuuid_utils.uuid7()\n"
THREADED = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"


@dataclass
class Nursery:
    """Modules in a folder of their own, and what forks them."""

    folder: Path
    forks: Forks

    def write(self, module: str, code: str) -> None:
        (self.folder / "code" / f"{module}.py").write_text(code)

    def program(self, name: str, *arguments: str, module: str = "tells") -> Program:
        return Program(
            name,
            python("-m", module, *arguments),
            ready=lambda: bool(self.told(name)),
            env={"GIVEN": name},
            cwd=self.folder,
            forked=True,
            stop_seconds=5,
        )

    def told(self, name: str) -> list[dict[str, Any]]:
        log = self.folder / "logs" / f"{name}.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextlib.asynccontextmanager
async def supervised(nursery: Nursery) -> AsyncIterator[Supervisor]:
    logs = nursery.folder / "logs"
    supervisor = Supervisor(logs, lambda: None, lambda: Backoff(first=0.01, most=0.05), forks=nursery.forks)
    try:
        yield supervisor
    finally:
        supervisor.hurry()
        await supervisor.stop()


@contextlib.asynccontextmanager
async def forked(nursery: Nursery, program: Program) -> AsyncIterator[Forked]:
    """A program that nobody starts anew."""
    with (nursery.folder / "logs" / f"{program.name}.log").open("ab") as log:
        process = await nursery.forks.start(program, log.fileno())
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
        nursery.forks.close()


@pytest.fixture
def nursery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nursery:
    return made(tmp_path, monkeypatch, ["tells"])


def made(folder: Path, monkeypatch: pytest.MonkeyPatch, modules: Sequence[str]) -> Nursery:
    for each in ("code", "logs"):
        (folder / each).mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder / "code"))
    monkeypatch.setattr("local.forks.SOURCES", (*forks.SOURCES, str(folder / "code")))
    nursery = Nursery(folder, Forks(modules, folder / "logs" / "parent.log"))
    nursery.write("tells", TELLS)
    nursery.write("helper", HELPER.format(word="old"))
    return nursery


async def start(supervisor: Supervisor, *wanted: Program) -> list[Row]:
    rows = [Row(program.name) for program in wanted]
    for program, row in zip(wanted, rows, strict=True):
        supervisor.start(program, row)
    for program in wanted:
        await supervisor.wait_ready(program.name, 30)
    return rows


def pid_of(row: Row) -> int:
    assert row.pid is not None
    return row.pid


async def test_a_fork_has_all_that_a_process_of_its_own_has(nursery: Nursery) -> None:
    async with supervised(nursery) as supervisor:
        rows = await start(supervisor, nursery.program("one", "--roles", "api"), nursery.program("two"))
        (one,), (two,) = nursery.told("one"), nursery.told("two")
        assert (one["pid"], one["parent"], one["group"]) == (rows[0].pid, os.getpid(), rows[0].pid)
        assert (one["name"], one["arguments"], one["given"], two["given"]) == ("one", ["--roles", "api"], "one", "two")
        assert (one["main"], one["cwd"], one["terms"], one["threads"]) == ("__main__", str(nursery.folder), True, 1)
        assert not {"socket", "pipe", "anon_inode"} & {*one["files"], *two["files"]}


@pytest.mark.parametrize("forked", [True, False])
async def test_a_process_stands_back_for_others_as_far_as_it_is_told(nursery: Nursery, forked: bool) -> None:
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    polite = replace(nursery.program("two"), forked=forked, stands_back=7)
    async with supervised(nursery) as supervisor:
        await start(supervisor, nursery.program("one"), polite)
        (one,), (two,) = nursery.told("one"), nursery.told("two")
        assert (one["stands_back"], two["stands_back"]) == (usual, min(usual + 7, 19))


async def test_forks_share_what_the_parent_imported_and_no_random_number(nursery: Nursery) -> None:
    async with supervised(nursery) as supervisor:
        await start(supervisor, nursery.program("one"), nursery.program("two"))
        (one,), (two,) = nursery.told("one"), nursery.told("two")
        assert one["loaded_in"] == two["loaded_in"] not in (one["pid"], two["pid"])
        assert one["random"] != two["random"]
        # All but the time, which stands in the first 48 bits: two processes that count on from one state repeat it.
        drawn = [each.replace("-", "")[12:] for each in (*one["ids"], *two["ids"])]
        assert len(set(drawn)) == len(drawn)


async def test_a_fork_that_is_killed_is_forked_anew(nursery: Nursery) -> None:
    async with supervised(nursery) as supervisor:
        (row,) = await start(supervisor, nursery.program("one"))
        first = pid_of(row)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: row.state == "ready" and len(nursery.told("one")) == 2, 20)
        before, after = nursery.told("one")
        assert (row.restarts, before["pid"], after["pid"]) == (1, first, row.pid)
        assert before["loaded_in"] == after["loaded_in"]


async def test_changed_code_runs_from_the_next_start_on_and_others_go_on(nursery: Nursery) -> None:
    async with supervised(nursery) as supervisor:
        row, neighbour = await start(supervisor, nursery.program("one"), nursery.program("two"))
        nursery.write("helper", HELPER.format(word="new word"))
        identity = identity_of(pid_of(neighbour))
        os.kill(pid_of(row), signal.SIGTERM)
        await eventually(lambda: len(nursery.told("one")) == 2, 20)
        before, after = nursery.told("one")
        assert (before["helper"], after["helper"]) == ("old", "new word")
        assert is_alive(identity)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_without_its_parent_a_fork_goes_on_and_the_next_has_a_new_one(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch, end: signal.Signals
) -> None:
    monkeypatch.setattr("local.forks.FORKED_WITHIN", 0.5)
    async with supervised(nursery) as supervisor:
        row, neighbour = await start(supervisor, nursery.program("one"), nursery.program("two"))
        identity = identity_of(pid_of(neighbour))
        os.kill(nursery.told("one")[0]["loaded_in"], end)
        os.kill(pid_of(row), signal.SIGKILL)
        await eventually(lambda: len(nursery.told("one")) == 2, 20)
        assert nursery.told("one")[1]["loaded_in"] != nursery.told("one")[0]["loaded_in"]
        assert is_alive(identity)


async def test_the_exit_code_of_a_fork_is_known(nursery: Nursery) -> None:
    async with forked(nursery, nursery.program("one", "ends", "3")) as process:
        assert await process.wait() == 3
        assert process.returncode == 3
    async with forked(nursery, nursery.program("two")) as process:
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL


async def test_a_module_that_cannot_be_imported_ends_in_its_own_log_and_keeps_nobody_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nursery = made(tmp_path, monkeypatch, ["broken", "tells"])
    nursery.write("broken", "import no_such_thing")
    async with supervised(nursery) as supervisor:
        await start(supervisor, nursery.program("one"))
        supervisor.start(nursery.program("broken", module="broken"), Row("broken"))
        with pytest.raises(StartFailed, match=r"ended 3 times while starting \(last: exit code 1\)"):
            await supervisor.wait_ready("broken", 20)
        assert "No module named 'no_such_thing'" in (tmp_path / "logs" / "broken.log").read_text()


async def test_a_parent_with_a_second_thread_forks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nursery = made(tmp_path, monkeypatch, ["threaded"])
    nursery.write("threaded", THREADED)
    with pytest.raises(OSError, match="has begun 1 threads"):
        async with forked(nursery, nursery.program("one")):
            pass
    nursery.forks.close()


async def test_the_parent_of_the_services_has_no_thread_no_loop_and_no_connection(tmp_path: Path) -> None:
    services = Forks(programs.modules(Layout()), tmp_path / "parent.log")
    try:
        parent = psutil.Process((await services.prepare()).process.pid)
        files = [os.readlink(f"/proc/{parent.pid}/fd/{each}") for each in os.listdir(f"/proc/{parent.pid}/fd")]
        assert (tmp_path / "parent.log").read_text() == ""
        assert parent.num_threads() == 1
        assert not parent.net_connections()
        assert sum(each.startswith("socket:") for each in files) == 1  # over which it is asked
        assert not [each for each in files if "eventpoll" in each]  # an event loop's
        loaded = " ".join(each.path for each in parent.memory_maps())
        assert all(each in loaded for each in ("asyncpg", "uvloop", "_pydantic_core"))
    finally:
        services.close()


def test_forks_die_with_a_supervisor_that_is_killed(nursery: Nursery) -> None:
    script = f"""
import asyncio, pathlib
from local.forks import Forks
from local.layout import Layout
from local.program import Program, python
from local.state import Row
from local.supervisor import Supervisor

async def main():
    row, logs = Row("tells"), pathlib.Path({str(nursery.folder / "logs")!r})
    supervisor = Supervisor(logs, lambda: None, forks=Forks(["tells"], logs / "parent.log"))
    supervisor.start(Program("tells", python("-m", "tells"), forked=True), row)
    await supervisor.wait_ready("tells", 20)
    print(row.pid, row.started, supervisor._forks._parent.process.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{nursery.folder / 'code'}"}
    with subprocess.Popen(python("-c", script), stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env) as supervisor:
        assert supervisor.stdout is not None
        pid, started, parent = supervisor.stdout.readline().split()
        both = [Identity(int(pid), float(started)), identity_of(int(parent))]
        supervisor.kill()
    wait_until(lambda: not any(map(is_alive, both)), 10)
