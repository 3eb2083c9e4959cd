"""Starts Python programs as forks of one parent that has imported them already (see `parent.py`).

A service is ready sooner so, and the memory of all that it has imported is shared with the others. When a source has
changed since, or the parent has died, the next fork is of a new parent: whatever is started runs the code there is.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import ROOT
from local.processes import taking_in_orphans
from local.program import Program, environment, options, python

# What a fork imports or reads once.
SOURCES = ("backbone", "deployment", "local", "sandbox", "schemas", "services")
IMPORTED_WITHIN, FORKED_WITHIN = 60.0, 10.0
Stamps = dict[str, tuple[int, int]]


def _is_possible() -> bool:
    """Tell whether a fork's end can be noticed here: only Linux has what that takes, and some sandboxes forbid it."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


POSSIBLE = _is_possible()


class _Silent(OSError):
    """The parent does not answer."""


class Forked:
    """Is a process that was forked for us: a child of this process, used as one of asyncio's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._handle = os.pidfd_open(pid)
        self._loop.add_reader(self._handle, self._has_ended)

    async def wait(self) -> int:
        """Wait for its end; return the exit code, negative where a signal ended it."""
        await self._ended.wait()
        assert self.returncode is not None  # noqa: S101 (set before the event)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def _has_ended(self) -> None:
        self._loop.remove_reader(self._handle)
        os.close(self._handle)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._ended.set()


Process = asyncio.subprocess.Process | Forked


@dataclass(frozen=True)
class Parent:
    process: "subprocess.Popen[bytes]"
    line: socket.socket
    sources: Stamps


class Forks:
    """Forks programs; the parent is started when it is first needed. To be used from the main thread."""

    def __init__(self, modules: Sequence[str], log: Path) -> None:
        """`modules` are what the parent imports; its own output, if any, goes to the log."""
        self._modules = modules
        self._log = log
        self._parent: Parent | None = None
        self._one_at_a_time = asyncio.Lock()

    async def start(self, program: Program, output: int) -> Forked:
        """Start a program, a module of ours, with its output to a file. Raises OSError when it cannot be started."""
        try:
            return await self._start(program, output)
        except _Silent:  # it died, or hangs; the next one does not
            return await self._start(program, output)

    async def _start(self, program: Program, output: int) -> Forked:
        parent = await self.prepare()
        try:
            return Forked(ask(parent, program, output))
        except _Silent:
            self.close()
            raise

    async def prepare(self) -> Parent:
        """Have a parent that lives and has imported the code there is. Raises OSError."""
        async with self._one_at_a_time:
            sources = stamps()
            if self._parent is None or self._parent.process.poll() is not None or self._parent.sources != sources:
                self.close()
                self._parent = await self._started(sources)
            return self._parent

    def close(self) -> None:
        """End the parent; what it has forked goes on."""
        parent, self._parent = self._parent, None
        if parent is not None:
            _end(parent)

    async def _started(self, sources: Stamps) -> Parent:
        parent = begin(self._modules, self._log, sources)
        try:
            parent.line.setblocking(False)
            async with asyncio.timeout(IMPORTED_WITHIN):
                if not await asyncio.get_running_loop().sock_recv(parent.line, 16):
                    raise OSError(f"the parent of the services has ended while it imported; see {self._log}")
            parent.line.settimeout(FORKED_WITHIN)
        except BaseException:
            _end(parent)
            raise
        return parent


async def started(program: Program, output: int, forks: Forks | None) -> Process:
    """Start a program, as a fork where it can be one, with its output to a file. Raises OSError."""
    if program.forked and forks:
        return await forks.start(program, output)
    return await asyncio.create_subprocess_exec(*program.command, **options(program, output))


def begin(modules: Sequence[str], log: Path, sources: Stamps) -> Parent:
    """Start a parent, which says over its line when it has imported the modules; its own output goes to the log."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = python("-m", "local.parent", str(theirs.fileno()), str(os.getpid()), *modules)
    with theirs, log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 (our command)
            command,
            pass_fds=[theirs.fileno()],
            **options(Program("parent", command, stop_signal=signal.SIGKILL), output),
        )
    return Parent(process, ours, sources)


def stamps() -> Stamps:
    """Return when each source was changed last, and its size."""
    files = [str(ROOT / "buses.toml")]  # read once, when it is first asked for
    files += [entry.path for folder in SOURCES for entry in _files(ROOT / folder)]
    return {path: _stamp(path) for path in files}


def _files(folder: Path | str) -> Iterator["os.DirEntry[str]"]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file():
                yield entry
            elif entry.name != "__pycache__":
                yield from _files(entry.path)


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:  # removed meanwhile
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _request(program: Program) -> bytes:
    module, *arguments = program.command[3:]
    request: dict[str, Any] = {
        "name": program.name,
        "module": module,
        "arguments": arguments,
        "cwd": str(program.cwd),
        "env": environment(program),
        "dies_by": program.stop_signal,
        "stands_back": program.stands_back,
    }
    return json.dumps(request).encode()


def ask(parent: Parent, program: Program, output: int) -> int:
    """Have the parent fork a program; return the pid of what is a child of this process.

    It takes milliseconds, in which nothing else happens here. Raises OSError.
    """
    with taking_in_orphans():
        try:
            socket.send_fds(parent.line, [_request(program)], [output])
            said = parent.line.recv(64 * 1024)
        except OSError as error:
            raise _Silent(f"the parent of the services does not answer: {error}") from error
    if not said:
        raise _Silent("the parent of the services has ended")
    answer = json.loads(said)
    if "error" in answer:
        raise OSError(answer["error"])
    return int(answer["pid"])


def _end(parent: Parent) -> None:
    parent.line.close()
    parent.process.kill()
    parent.process.wait()
