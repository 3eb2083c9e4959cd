"""Describes a process to run, and runs one on its own: tests do so, `up` has the supervisor."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from local import ROOT, probes
from local.processes import dies_with_parent, stand_back


class NotReady(Exception):
    """A process ended while starting, or was not ready in time."""


@dataclass(frozen=True)
class Account:
    """Names the system user and group that a process runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Program:
    """Describes a process to run: its command, what it needs, how to tell that it is ready and how to stop it."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool] = probes.nothing
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = ROOT
    # Whether the supervisor may start it as a fork of what has imported it: its command is a module of ours.
    forked: bool = False
    # How far it stands back for others when processors are short (nice, 0 to 19).
    stands_back: int = 0
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    # Programs of one stage stop together, later stages first.
    stage: int = 0
    # Where people and scripts find it, and the port its health is asked at.
    address: str = ""
    port: int | None = None


def python(*arguments: str) -> tuple[str, ...]:
    """Return a command line for our own interpreter, whose imports the caller's directory cannot shadow."""
    return (sys.executable, "-P", *arguments)


def options(program: Program, output: IO[bytes] | int) -> dict[str, Any]:
    """Return Popen's arguments, for subprocess and asyncio alike: own process group, end with the parent."""
    return {
        "stdin": subprocess.DEVNULL,
        "stdout": output,
        "stderr": subprocess.STDOUT,
        "cwd": program.cwd,
        "env": environment(program),
        "process_group": 0,
        "preexec_fn": functools.partial(_begin, dies_with_parent(program.stop_signal), program.stands_back),
        **_as_user(program.account),
    }


def _begin(dies: Callable[[], None] | None, stands_back: int) -> None:
    if dies:
        dies()
    stand_back(stands_back)


def environment(program: Program) -> dict[str, str]:
    """Return the program's whole environment: ours, what it is given, and a path on which it finds our packages.

    Bytecode is written whatever the caller prefers: a dozen processes that each compile everything anew take seconds.
    """
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    ours = {"PYTHONPATH": os.pathsep.join(filter(None, dict.fromkeys(paths))), "PYTHONUNBUFFERED": "1"}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **ours, **program.env}


def complete(command: Sequence[str], directory: Path, account: Account | None = None) -> None:
    """Run a command to its end. Raises RuntimeError, with the command's output, when it fails."""
    done = subprocess.run(  # noqa: S603 (our command)
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        process_group=0,
        preexec_fn=dies_with_parent(signal.SIGKILL),
        **_as_user(account),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed in {directory}:\n{done.stdout}{done.stderr}")


def _as_user(account: Account | None) -> dict[str, Any]:
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


@dataclass
class Server:
    """Holds a running program; `stop` ends it gently and `kill` as a power cut would."""

    program: Program
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        self.process.send_signal(self.program.stop_signal)
        try:
            self.process.wait(self.program.stop_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def run(program: Program, log: Path, timeout: float = 60.0) -> Server:
    """Start the program and return when it is ready; its output goes to the log file.

    Raises NotReady, with the end of the log, when it ends early or is not ready in time (seconds).
    """
    with log.open("ab") as output:
        process = subprocess.Popen(program.command, **options(program, output))  # noqa: S603 (our command)
    server = Server(program, process, log)
    try:
        await_ready(server, timeout)
    except BaseException:
        server.kill()
        raise
    return server


def await_ready(server: Server, timeout: float = 60.0) -> None:
    """Wait until the program is ready. Raises NotReady, with the end of its log, when it ends or is late (seconds)."""
    deadline = time.monotonic() + timeout
    while not server.program.ready():
        if server.process.poll() is not None:
            reason = f"ended with exit code {server.process.returncode}"
        elif time.monotonic() > deadline:
            reason = f"was not ready within {timeout:.0f} s"
        else:
            time.sleep(0.05)
            continue
        tail = "\n".join(last_lines(server.log, 20))
        raise NotReady(f"{server.program.name} {reason}. The end of {server.log}:\n{tail}")


def last_lines(log: Path, count: int) -> list[str]:
    """Return the last `count` lines of a log file, of its last 256 KiB at most; none when there is no such file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 256 * 1024))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return lines[-count:] if count > 0 else []
