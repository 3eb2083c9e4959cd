"""Keeps processes running: starts them, restarts those that die (ever later), and stops all in reverse order."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from local.forks import Forks, Process, started
from local.processes import identity_of
from local.program import Program
from local.state import Row

POLL_SECONDS = 0.1
LOG_BYTES = 10 * 1024 * 1024
ROTATE_SECONDS = 5.0
# This many deaths before it was ever ready, and a process is given up while starting.
DEATHS_WHILE_STARTING = 3


class StartFailed(Exception):
    """A process did not get ready: it keeps dying, or takes too long."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name


@dataclass
class Backoff:
    """Counts the seconds to wait before the next start: 1, 2, 4 … 30, and 1 again after a long life."""

    first: float = 1.0
    most: float = 30.0
    forgiven_after: float = 60.0
    _next: float = field(default=0.0, repr=False)

    def after(self, lived: float) -> float:
        """Return the pause (seconds) after a process that lived so many seconds."""
        if lived >= self.forgiven_after or not self._next:
            self._next = self.first
        pause, self._next = self._next, min(self.most, self._next * 2)
        return pause


@dataclass
class Child:
    """Holds one supervised program and the process that runs it now."""

    program: Program
    row: Row
    log: Path
    backoff: Backoff
    process: Process | None = None
    keeper: "asyncio.Task[None] | None" = None
    was_ready: asyncio.Event = field(default_factory=asyncio.Event)
    gave_up: str = ""
    stopping: bool = False


class Supervisor:
    """Runs programs until `stop`. Their rows are kept up to date; `changed` is called after each change.

    To be used from the main thread: children are told to die with the thread that started them.
    """

    def __init__(
        self,
        logs: Path,
        changed: Callable[[], None],
        backoff: Callable[[], Backoff] = Backoff,
        forks: Forks | None = None,
    ) -> None:
        """`forks` starts the programs that may be forked; without it they are started like all others."""
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._changed = changed
        self._backoff = backoff
        self._forks = forks
        self._children: dict[str, Child] = {}
        self._hurry = asyncio.Event()
        self._rotator = asyncio.create_task(self._rotate_logs())

    def start(self, program: Program, row: Row) -> None:
        """Start the program, and keep it running from now on."""
        row.address, row.port = program.address, program.port
        log = self._logs / f"{program.name}.log"
        child = Child(program, row, log, self._backoff())
        self._children[program.name] = child
        child.keeper = asyncio.create_task(self._keep(child), name=f"keep {program.name}")

    async def wait_ready(self, name: str, timeout: float) -> None:
        """Wait until the program has been ready. Raises StartFailed when it keeps dying or is late (seconds)."""
        child = self._children[name]
        try:
            async with asyncio.timeout(timeout):
                await child.was_ready.wait()
        except TimeoutError:
            child.gave_up = f"was not ready within {timeout:.0f} s"
        if child.gave_up:
            self._update(child, "failed", child.gave_up)
            raise StartFailed(name, child.gave_up)

    async def stop(self) -> None:
        """Stop everything, later stages first, those of one stage together."""
        for stage in sorted({child.program.stage for child in self._children.values()}, reverse=True):
            members = [child for child in self._children.values() if child.program.stage == stage]
            await asyncio.gather(*(self._stop(child) for child in members))
        self._rotator.cancel()
        if self._forks:
            self._forks.close()

    def hurry(self) -> None:
        """Kill at once whatever still has to stop, or is asked to from now on."""
        self._hurry.set()

    async def _keep(self, child: Child) -> None:
        while True:
            born = time.monotonic()
            code = await self._live_or_error(child)
            if child.stopping:
                return
            child.row.restarts += 1
            if not child.was_ready.is_set() and child.row.restarts >= DEATHS_WHILE_STARTING:
                child.gave_up = f"ended {child.row.restarts} times while starting (last: {code})"
                child.was_ready.set()
                return
            pause = child.backoff.after(time.monotonic() - born)
            self._update(child, "restarting", f"{code}; again in {pause:.0f} s")
            await asyncio.sleep(pause)

    async def _live_or_error(self, child: Child) -> str:
        try:
            return f"exit code {await self._live(child)}"
        except OSError as error:
            return str(error)

    async def _live(self, child: Child) -> int:
        """Run the process from start to end; return its exit code."""
        child.process = process = await self._begin(child)
        child.row.pid, child.row.started = process.pid, _started(process.pid)
        self._update(child, "starting")
        watcher = asyncio.create_task(self._watch_until_ready(child))
        try:
            return await process.wait()
        finally:
            watcher.cancel()
            child.process = child.row.pid = child.row.started = None

    async def _begin(self, child: Child) -> Process:
        with child.log.open("ab") as log:
            return await started(child.program, log.fileno(), self._forks)

    async def _watch_until_ready(self, child: Child) -> None:
        while not await asyncio.to_thread(child.program.ready):  # noqa: ASYNC110 (the other side tells nobody)
            await asyncio.sleep(POLL_SECONDS)
        child.was_ready.set()
        self._update(child, "ready")

    async def _stop(self, child: Child) -> None:
        child.stopping = True
        process = child.process
        if process is not None and process.returncode is None:
            self._update(child, "stopping")
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(child.program.stop_signal)
            if not await self._ended(process, child.program.stop_seconds):
                _kill_group(process.pid)
                await process.wait()
        elif child.keeper:
            child.keeper.cancel()
        if child.keeper:
            await asyncio.wait([child.keeper])
        if child.row.state != "failed":
            self._update(child, "stopped")

    async def _ended(self, process: Process, timeout: float) -> bool:
        waits = [asyncio.ensure_future(process.wait()), asyncio.ensure_future(self._hurry.wait())]
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return process.returncode is not None

    def _update(self, child: Child, state: str, detail: str = "") -> None:
        child.row.state, child.row.detail = state, detail
        self._changed()

    async def _rotate_logs(self) -> None:
        while True:
            for child in self._children.values():
                rotate(child.log)
            await asyncio.sleep(ROTATE_SECONDS)


def rotate(log: Path, limit: int = LOG_BYTES) -> None:
    """Move the content of a log with more than `limit` bytes to NAME.log.1.

    Copied and cut rather than renamed: the process keeps its (appending) file open.
    """
    if log.exists() and log.stat().st_size > limit:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def _started(pid: int) -> float | None:
    try:
        return identity_of(pid).started
    except psutil.Error:  # gone already: then there is nothing to recognise later
        return None


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
