"""Recognises processes of ours by pid and start time, never by name, and ends them."""

import ctypes
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
# Start times are kept rounded in files.
TOLERANCE = 0.1
# The C library, found now: after a fork nothing should have to be loaded.
_LIBRARY = ctypes.CDLL(None)


@dataclass(frozen=True)
class Identity:
    """Names one process and no other: a pid alone may be given to somebody else later."""

    pid: int
    started: float


def identity_of(pid: int) -> Identity:
    """Return the identity of a living process, for later runs to recognise it. Raises psutil.NoSuchProcess."""
    return Identity(pid, _started(psutil.Process(pid)))


def find(identity: Identity) -> psutil.Process | None:
    """Return the process if it is still the same one and alive (a zombie is not), else None."""
    try:
        process = psutil.Process(identity.pid)
        same = abs(_started(process) - identity.started) < TOLERANCE
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def is_alive(identity: Identity) -> bool:
    return find(identity) is not None


def end(identities: list[Identity], grace: float = 10.0) -> int:
    """End the processes that still live, by SIGTERM and after `grace` seconds by SIGKILL; return how many lived."""
    alive = [process for identity in identities if (process := find(identity))]
    for process in alive:
        _signal(process, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(alive, timeout=grace)
    for process in stubborn:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=5)
    return len(alive)


def wait_for_end(identity: Identity, timeout: float) -> bool:
    """Wait until the process is gone; return False when it outlives the timeout (seconds)."""
    deadline = time.monotonic() + timeout
    while is_alive(identity):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def dies_with_parent(number: int) -> Callable[[], None] | None:
    """Return a preexec function by which the child gets this signal when its parent dies, however that happens.

    Linux only; None elsewhere, where the next start ends the leftovers it finds in the recorded state.
    """
    if sys.platform != "linux":
        return None
    return functools.partial(die_with, os.getpid(), number)


def die_with(parent: int, number: int) -> None:
    """Have this process get the signal when `parent` dies, also where it is dead already. Linux only."""
    _LIBRARY.prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def stand_back(by: int) -> None:
    """Have this process stand back for others when processors are short, `by` 0 to 19 (nice)."""
    if by:
        os.nice(by)


def be_called(name: str) -> None:
    """Have `ps` and its like show this process under a name, of which the system keeps 15 bytes. Linux only."""
    _LIBRARY.prctl(PR_SET_NAME, name.encode())


@contextmanager
def taking_in_orphans() -> Iterator[None]:
    """Be the parent of all below whose parents end during the block. Linux only."""
    _LIBRARY.prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        _LIBRARY.prctl(PR_SET_CHILD_SUBREAPER, 0)


def _started(process: psutil.Process) -> float:
    """Return its start time: on Linux in seconds since boot, for a clock that is corrected shifts all times of day."""
    if sys.platform != "linux":
        return process.create_time()
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise psutil.NoSuchProcess(process.pid) from error
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
