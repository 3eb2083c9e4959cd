"""Starts services for tests as `./sliceline up` does: as forks of one parent that has imported them (`local/forks.py`).

A test's process is a fraction of a second of work then, instead of two seconds of imports.
"""

import os
import select
import subprocess
import tempfile
import threading
import weakref
from functools import cache
from pathlib import Path
from typing import IO

from local import forks, programs
from local.layout import Layout
from local.program import Program, options

IMPORTED_WITHIN = 120.0
FORKED = ("services.", "sandbox.", "examples.receipts.")
"""Modules that are forked. Others replace parts of a service before it is imported, and so import it themselves."""


class Fork:
    """Is a forked process, used as one of subprocess's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle = os.pidfd_open(pid)
        weakref.finalize(self, os.close, self._handle)
        self._code: int | None = None
        self._one_at_a_time = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, negative where a signal ended it; None while it lives."""
        with self._one_at_a_time:
            if self._code is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self._code = os.waitstatus_to_exitcode(status)
            return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises TimeoutExpired."""
        ended = select.poll()
        ended.register(self._handle, select.POLLIN)
        ended.poll(None if timeout is None else timeout * 1000)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code


def start(program: Program, output: IO[bytes]) -> "Fork | subprocess.Popen[bytes]":
    """Start a program; from the main thread: the system ends a child with the thread that made it."""
    if forks.POSSIBLE and program.command[2:3] == ("-m",) and program.command[3].startswith(FORKED):
        return Fork(forks.ask(_parent(), program, output.fileno()))
    return subprocess.Popen(program.command, **options(program, output))


@cache
def _parent() -> forks.Parent:
    log = Path(tempfile.gettempdir()) / f"sliceline-tests-parent-{os.getpid()}.log"
    parent = forks.begin(programs.modules(Layout()), log, {})
    parent.line.settimeout(IMPORTED_WITHIN)
    assert parent.line.recv(16), log.read_text()
    log.unlink()
    return parent
