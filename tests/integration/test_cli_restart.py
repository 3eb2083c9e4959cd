"""`./sliceline restart`, against processes that a real supervisor keeps running."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app
from local import probes, state
from local.processes import identity_of, is_alive
from local.program import Program, python
from local.state import Row, State
from local.supervisor import Backoff, Supervisor

LIVES = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {LIVES}"


@dataclass
class Running:
    """A supervisor, and the state that it writes for the commands."""

    supervisor: Supervisor
    now: State

    async def start(self, name: str, code: str, ready: Callable[[], bool] = probes.nothing) -> Row:
        row = self.now.rows[name] = Row(name)
        self.supervisor.start(Program(name, python("-c", code), ready), row)
        await self.supervisor.wait_ready(name, 30)
        return row


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for user in ("restart", "running"):
        monkeypatch.setattr(f"cli.{user}.HOME", tmp_path)
    now = State(state.RUNNING, identity_of(os.getpid()))
    with state.hold(tmp_path):
        supervisor = Supervisor(tmp_path / "logs", lambda: state.write(tmp_path, now), lambda: Backoff(first=0.05))
        try:
            yield Running(supervisor, now)
        finally:
            supervisor.hurry()
            await supervisor.stop()


async def _restart(name: str) -> Result:
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, ["restart", name]))


@pytest.mark.parametrize("code", [LIVES, STUBBORN])
async def test_restart_replaces_one_process_and_leaves_the_others(
    running: Running, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.restart.END_SECONDS", 1.0)
    kitchen, orders = await running.start("kitchen", code), await running.start("orders", LIVES)
    before, neighbour = kitchen.identity(), orders.identity()
    said = await _restart("kitchen")
    assert (said.exit_code, f"pid {kitchen.pid}" in said.output) == (0, True), said.output
    assert before is not None
    assert not is_alive(before)
    assert kitchen.identity() != before
    assert orders.identity() == neighbour


async def test_restart_says_when_a_process_does_not_come_back(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.restart.READY_SECONDS", 1.0)
    gets_ready = threading.Event()
    gets_ready.set()
    await running.start("kitchen", LIVES, gets_ready.is_set)
    gets_ready.clear()
    said = await _restart("kitchen")
    assert (said.exit_code, "./sliceline logs kitchen" in said.output) == (1, True)


@pytest.mark.parametrize("name", ["kafka", "pizza"])
async def test_restart_names_what_can_be_restarted(running: Running, name: str) -> None:
    running.now.rows["kafka"] = Row("kafka")
    await running.start("orders", LIVES)
    said = await _restart(name)
    assert (said.exit_code, "There are: orders." in said.output) == (2, True)
