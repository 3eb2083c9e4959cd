"""Keeps what is running in .sliceline/state.json, where `status`, `logs`, `down` and the next `up` read it."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local.processes import Identity

STARTING, RUNNING, STOPPING, STOPPED, FAILED = "starting", "running", "stopping", "stopped", "failed"


class AlreadyRunning(Exception):
    """Another supervisor runs on this directory."""


@dataclass
class Row:
    """Describes one process, or one step on the way to it, in one line for a person."""

    name: str
    # waiting, working (done of total when known), starting, ready, restarting, stopped, failed
    state: str = "waiting"
    detail: str = ""
    done: int = 0
    total: int = 0
    address: str = ""
    port: int | None = None
    pid: int | None = None
    started: float | None = None
    restarts: int = 0

    def identity(self) -> Identity | None:
        return Identity(self.pid, self.started) if self.pid and self.started else None


@dataclass
class State:
    """Describes one run of `up`, from its start to its end."""

    phase: str
    supervisor: Identity
    port_offset: int = 0
    issuer: str | None = None
    """Who gives the tokens that let people in, where that is no provider of the shop's own."""
    error: str = ""
    notes: list[str] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)

    def leftovers(self) -> list[Identity]:
        """Return the processes that this run started; some may have ended."""
        return [identity for row in self.rows.values() if (identity := row.identity())]


def write(home: Path, state: State) -> None:
    """Write the state, replacing the file in one step, so that a reader never sees half of it."""
    unfinished = home / "state.json.new"
    unfinished.write_text(json.dumps(asdict(state), indent=1))
    unfinished.replace(home / "state.json")


def read(home: Path) -> State | None:
    """Return the last run's state; None when there was none or it cannot be read."""
    try:
        return _from_json(json.loads((home / "state.json").read_text()))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _from_json(content: dict[str, Any]) -> State:
    rows = {name: Row(**row) for name, row in content.pop("rows").items()}
    return State(supervisor=Identity(**content.pop("supervisor")), rows=rows, **content)


@contextmanager
def hold(home: Path) -> Iterator[None]:
    """Hold the directory's lock during the block; the system releases it however the supervisor dies.

    Raises AlreadyRunning.
    """
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise AlreadyRunning from None
    finally:
        os.close(descriptor)


def is_running(home: Path) -> bool:
    """Tell whether a supervisor lives on this directory."""
    try:
        with hold(home):
            return False
    except AlreadyRunning:
        return True
