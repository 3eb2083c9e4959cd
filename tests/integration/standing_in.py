"""A shop of one service, as the commands see it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from local import state
from local.processes import Identity, identity_of


@contextmanager
def standing_in(home: Path, service: str, address: str) -> Iterator[None]:
    """The state that a run with this one service would have written."""
    with standing_in_for(home, {service: address}):
        yield


@contextmanager
def standing_in_for(home: Path, addresses: Mapping[str, str], issuer: str | None = None) -> Iterator[None]:
    """The state that a run with these services would have written."""
    identity = identity_of(os.getpid())
    rows = {service: _row(service, address, identity) for service, address in addresses.items()}
    with state.hold(home):
        state.write(home, state.State(state.RUNNING, identity, issuer=issuer, rows=rows))
        yield


def _row(service: str, address: str, identity: Identity) -> state.Row:
    port = urlsplit(address).port
    return state.Row(service, "ready", address=address, port=port, pid=identity.pid, started=identity.started)
