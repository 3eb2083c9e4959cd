"""The processes that benches start: our services as they run in production, and the peers."""

import functools
from collections.abc import Mapping

from bench.stage import Stage
from local import probes
from local.ports import free_port
from local.program import Program, python

# One margherita, as every bench that places orders does.
ORDER = {
    "customer": {"id": "ada", "name": "Ada Lovelace", "email": "ada@example.com"},
    "currency": "GBP",
    "fulfilment": "delivery",
    "address": "1 Mill Lane",
    "lines": [{"item": "margherita", "quantity": 1}],
}


def service(
    stage: Stage,
    name: str,
    roles: str,
    *,
    database: str | None = None,
    label: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Program:
    """A process of one of our services, on a port of its own and with its logs as in production."""
    port = free_port()
    return Program(
        name=label or name,
        command=python("-m", f"services.{name}.service", "--roles", roles),
        ready=functools.partial(probes.http_ready, port),
        env={
            "SLICELINE_DATABASE_URL": database or stage.database(name),
            "SLICELINE_KAFKA": stage.bootstrap,
            "SLICELINE_PORT": str(port),
            **(env or {}),
        },
        port=port,
    )


def peer(module: str, database: str, *, label: str | None = None, env: Mapping[str, str] | None = None) -> Program:
    """A peer that serves HTTP."""
    port = free_port()
    return Program(
        name=label or module,
        command=python("-m", f"bench.peers.{module}"),
        ready=functools.partial(probes.http_ready, port),
        env={"PEER_DATABASE_URL": database, "PEER_PORT": str(port), **(env or {})},
        port=port,
    )
