"""A shop of one service, as the commands see it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from local import state
from local.processes import identity_of


@contextmanager
def standing_in(home: Path, service: str, address: str) -> Iterator[None]:
    """The state that a run with this one service would have written."""
    identity = identity_of(os.getpid())
    port = urlsplit(address).port
    row = state.Row(service, "ready", address=address, port=port, pid=identity.pid, started=identity.started)
    with state.hold(home):
        state.write(home, state.State(state.RUNNING, identity, rows={service: row}))
        yield
