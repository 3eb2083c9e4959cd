"""Runs `up` once: starts servers, tables and services as fast as the machine allows, and keeps them running."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from deployment import NOTE
from deployment.pages.fresh import is_fresh
from deployment.people import CONSOLE
from local import forks, ports, processes, programs, state
from local.forks import Forks, started
from local.layout import Layout
from local.processes import identity_of
from local.program import Program, last_lines, python
from local.state import Row, State
from local.supervisor import StartFailed, Supervisor
from services import CATALOGUE

READY_SECONDS = 120.0


class CannotStart(Exception):
    """`up` gave up; the message tells the person who called it why."""


OPEN = "The doors are open (SLICELINE_AUTH=off): whoever reaches these ports may do everything, in anybody's name."


class Run:
    """Starts everything and keeps it running; `state` tells at any time how far it is."""

    def __init__(self, layout: Layout, robot_delay: float | None) -> None:
        """`robot_delay` is how many seconds the robot takes for a step; without it there is no robot."""
        self.layout = layout
        self.state = State(state.STARTING, identity_of(os.getpid()), layout.offset, issuer=layout.issuer_url)
        if layout.issuer() is None:
            self.state.notes.append(OPEN)
        self._robot_delay = robot_delay
        self._forks = Forks(programs.modules(layout), layout.logs / "parent.log") if forks.POSSIBLE else None
        self._supervisor = Supervisor(layout.logs, self._changed, forks=self._forks)
        self._stop = asyncio.Event()

    async def until_stopped(self) -> None:
        """Run until asked to stop. Raises CannotStart, with everything stopped, when it cannot get ready."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._asked_to_stop)
        try:
            await self._start_unless_stopped()
            await self._stop.wait()
        except CannotStart as error:
            self.state.error = str(error)
            raise
        finally:
            self._enter(state.STOPPING)
            await self._supervisor.stop()
            self._enter(state.FAILED if self.state.error else state.STOPPED)

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._supervisor.hurry()
        self._stop.set()

    async def _start_unless_stopped(self) -> None:
        start = asyncio.create_task(self._start())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait([start, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not start.done():
            start.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await start
            return
        await start

    async def _start(self) -> None:
        end_leftovers(self.layout)
        check_ports(self.layout)
        self._add_rows()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._servers_then_services())
                for program in programs.sandbox(self.layout):
                    group.create_task(self._run(program))
        except* (StartFailed, CannotStart) as failures:
            raise self._explain(failures) from None
        self._enter(state.RUNNING)
        await self._show_events()

    def _add_rows(self) -> None:
        names = [] if self.layout.postgres_url else ["postgres"]
        names += [] if self.layout.kafka else ["kafka"]
        names += ["tables", *(program.name for program in programs.sandbox(self.layout)), *CATALOGUE, CONSOLE]
        names += [] if self._robot_delay is None else ["robot"]
        self.state.rows = {name: Row(name) for name in names}
        self._changed()

    async def _servers_then_services(self) -> None:
        await asyncio.gather(self._prepare_postgres(), self._prepare_kafka())
        async with asyncio.TaskGroup() as group:
            for program in programs.servers(self.layout):
                group.create_task(self._run(program))
            group.create_task(self._migrate())  # waits for the servers by itself, and loads meanwhile
        await asyncio.gather(*(self._run(program) for program in programs.services(self.layout)))
        # Last: while nobody answers it, the robot only learns to ask more seldom.
        for program in programs.robot(self.layout, self._robot_delay):
            await self._run(program)

    async def _prepare_postgres(self) -> None:
        if not self.layout.postgres_url:
            await self._step(programs.preparation(self.layout, "postgres"))

    async def _prepare_kafka(self) -> None:
        if not self.layout.kafka:
            await self._step(programs.preparation(self.layout, "kafka"), "downloading")

    async def _migrate(self) -> None:
        await self._step(programs.migration(self.layout))
        self.state.rows["tables"].state = "ready"
        self._changed()

    async def _show_events(self) -> None:
        """Build the catalogue that the ledger serves, where it is not as the code is. The shop runs without it."""
        if not is_fresh():
            with contextlib.suppress(CannotStart):  # what is wrong with a contract, ./sliceline contracts says
                await run_step(Program("catalogue", python("-m", "deployment.pages.build")), lambda _: None)

    async def _run(self, program: Program) -> None:
        self._supervisor.start(program, self.state.rows[program.name])
        await self._supervisor.wait_ready(program.name, READY_SECONDS)

    async def _step(self, program: Program, doing: str = "") -> None:
        row = self.state.rows[program.name]

        def show(line: str) -> None:
            if line.startswith(NOTE):
                self.state.notes.append(line.removeprefix(NOTE))
                return
            numbers = line.split()
            if len(numbers) == 2 and all(number.isdigit() for number in numbers):
                row.done, row.total, row.detail = int(numbers[0]), int(numbers[1]), doing
            else:
                row.detail = line
            self._changed()

        row.state = "working"
        self._changed()
        await run_step(program, show, self._forks)
        row.detail, row.done, row.total = "", 0, 0

    def _explain(self, failures: BaseExceptionGroup[Exception]) -> CannotStart:
        first = failures.exceptions[0]
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        if not isinstance(first, StartFailed):
            return CannotStart(str(first))
        return CannotStart(with_log(str(first), self.layout.logs / f"{first.name}.log"))

    def _enter(self, phase: str) -> None:
        self.state.phase = phase
        self._changed()

    def _changed(self) -> None:
        state.write(self.layout.home, self.state)


async def run_step(program: Program, show: Callable[[str], None], forks: Forks | None = None) -> None:
    """Run a program to its end and `show` each line it prints. Raises CannotStart when it fails.

    Cancelling ends the program.
    """
    read, write = os.pipe()
    lines = asyncio.StreamReader()
    with os.fdopen(read, "rb") as output:
        try:
            process = await started(program, write, forks)
        except OSError as error:
            raise CannotStart(f"{program.name} cannot be started: {error}") from error
        finally:
            os.close(write)
        said: deque[str] = deque(maxlen=30)
        try:
            await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), output)
            async for raw in lines:
                said.append(raw.decode(errors="replace").rstrip())
                show(said[-1])
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.send_signal(program.stop_signal)
                await process.wait()
    if code != 0:
        raise CannotStart(f"{program.name} failed (exit code {code}):\n\n" + "\n".join(said))


def with_log(reason: str, log: Path) -> str:
    lines = last_lines(log, 20)
    return f"{reason}. The end of {log}:\n\n" + "\n".join(lines) if lines else f"{reason}; {log} is empty."


def end_leftovers(layout: Layout) -> None:
    """End the processes that a killed supervisor left behind, known by pid and start time."""
    last = state.read(layout.home)
    if last is not None:
        processes.end(last.leftovers())


def check_ports(layout: Layout) -> None:
    """Check that all our ports are free. Raises CannotStart, naming every port that somebody else holds."""
    names = layout.ports()
    taken = ports.taken(names)
    if not taken:
        return
    lines = [f"  port {port} ({names[port]}) is held by {owner}" for port, owner in taken.items()]
    raise CannotStart(
        "Nothing was started, for these ports are taken:\n" + "\n".join(lines) + "\n"
        f"Stop their owners, or move all our ports: ./sliceline up --port-offset {_free_offset(layout)}"
    )


def _free_offset(layout: Layout) -> int:
    """Return an offset at which all ports are free, or the next thousand if there is no round one."""
    for thousands in range(1, 20):
        moved = replace(layout, offset=layout.offset + 1000 * thousands)
        if not ports.taken(moved.ports()):
            return moved.offset
    return layout.offset + 1000
