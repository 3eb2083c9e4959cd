"""Is the parent of the services: it has imported what they need, and forks one of them whenever it is asked to.

`python -m local.parent SOCKET SUPERVISOR MODULE…` is started by `forks.py`. It has no thread, no event loop and no
connection but the socket that it is asked over, so that nothing of it can go wrong in a fork of it. What it forks
becomes a child of the supervisor, which sees it end, and does not end with this process.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local.processes import be_called, die_with, stand_back

LARGEST = 1024 * 1024
"""Bytes of a request; its environment is most of it."""


@dataclass(frozen=True)
class Wanted:
    """Describes the process that is asked for."""

    name: str
    module: str
    arguments: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    dies_by: int
    stands_back: int


class NotBare(Exception):
    """This process has something that its forks must not have."""


def main() -> None:
    """Import, then fork until the supervisor hangs up; in a fork, run what was asked for."""
    asked = socket.socket(fileno=int(sys.argv[1]))
    supervisor = int(sys.argv[2])
    gc.disable()  # no page is written to for what will never be garbage
    for module in sys.argv[3:]:
        _import(module)
    gc.collect()
    gc.freeze()
    asked.send(b"ready")
    wanted = _until_forked(asked, supervisor)
    if wanted is not None:
        _run(wanted)


def _import(module: str) -> None:
    """Import a module, and leave out the one that is run itself: a fork runs it as its main module."""
    # One that cannot be imported fails again in its own process, and says there why; the others go on.
    with contextlib.suppress(Exception):
        importlib.import_module(module)
    sys.modules.pop(module, None)


def _until_forked(asked: socket.socket, supervisor: int) -> Wanted | None:
    """Answer requests with the pids of forks; return what is wanted in such a fork, None at the end of the parent."""
    while True:
        message, files, _, _ = socket.recv_fds(asked, LARGEST, 1)
        if not message:
            return None
        wanted = Wanted(**json.loads(message))
        try:
            pid = _fork()
        except (OSError, NotBare) as error:
            asked.send(json.dumps({"error": str(error)}).encode())
        else:
            if pid is None:
                asked.close()
                _settle_in(wanted, files[0], supervisor)
                return wanted
            asked.send(json.dumps({"pid": pid}).encode())
        os.close(files[0])


def _fork() -> int | None:
    """Fork a process whose parent is not this one but the supervisor; return its pid, and in it None.

    That of which the parent has ended belongs to the next process above that takes in orphans. Raises OSError, NotBare.
    """
    _check_bare()
    read, write = os.pipe()
    between = os.fork()
    if between == 0:
        middle = os.getpid()
        try:
            pid = os.fork()
            if pid:
                os.setpgid(pid, pid)
                os.write(write, str(pid).encode())
        except OSError:
            pid = -1
        if pid:
            os._exit(0)
        os.close(read)
        os.close(write)
        while os.getppid() == middle:
            time.sleep(0.0005)
        return None
    os.close(write)
    said = os.read(read, 32)
    os.close(read)
    os.waitpid(between, 0)
    if not said:
        raise OSError("the system made no process")
    return int(said)


def _check_bare() -> None:
    """Raise NotBare for a second thread: a lock that it holds would be held in a fork for ever."""
    threads = max(threading.active_count(), _tasks())
    if threads > 1:
        raise NotBare(f"a module that was imported has begun {threads - 1} threads: {threading.enumerate()}")


def _tasks() -> int:
    """Return the number of this process's threads, those that Python does not know included."""
    return len(os.listdir("/proc/self/task"))


def _settle_in(wanted: Wanted, output: int, supervisor: int) -> None:
    """Give a fork what a new process has of its own: parent, name, signals, files, folder, environment."""
    die_with(supervisor, wanted.dies_by)
    be_called(wanted.name)
    stand_back(wanted.stands_back)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.chdir(wanted.cwd)
    os.environ.clear()
    os.environ.update(wanted.env)
    time.tzset()


def _run(wanted: Wanted) -> None:
    """Run the module as `python -m` does. Its end, also by an error, is that of the process."""
    gc.enable()
    sys.argv = [wanted.module, *wanted.arguments]
    runpy.run_module(wanted.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
