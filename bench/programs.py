"""Describes the processes that benches start: our services as they run in production, and the peers."""

import base64
import functools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from backbone.values.brokers import Brokers
from bench.stage import Stage
from local import ports, probes
from local import programs as local_programs
from local.layout import Layout
from local.ports import free_port
from local.program import Program, python

PLENTY = """
UPDATE stock SET on_hand = on_hand + 1000000000, adjusted = adjusted + 1000000000, ceiling = ceiling + 2000000000
"""
MASTER_KEY = base64.b64encode(b"the master key of no shop at all").decode()
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
    """Describe a process of one of our services, on a port of its own and with its logs as in production."""
    port = free_port()
    return Program(
        name=label or name,
        command=python("-m", f"services.{name}.service", "--roles", roles),
        ready=functools.partial(probes.http_ready, port),
        env={
            "SLICELINE_DATABASE_URL": database or stage.as_service(name),
            "SLICELINE_KAFKA": stage.bootstrap,
            "SLICELINE_PORT": str(port),
            "SLICELINE_MASTER_KEY": MASTER_KEY,
            "SLICELINE_AUTH": "off",
            **(env or {}),
        },
        port=port,
    )


def peer(module: str, database: str, *, label: str | None = None, env: Mapping[str, str] | None = None) -> Program:
    """Describe a peer that serves HTTP."""
    port = free_port()
    return Program(
        name=label or module,
        command=python("-m", f"bench.peers.{module}"),
        ready=functools.partial(probes.http_ready, port),
        env={"PEER_DATABASE_URL": database, "PEER_PORT": str(port), **(env or {})},
        port=port,
    )


def house(stage: Stage, *, provider_rate: float, env: Mapping[str, str] | None = None) -> dict[str, Program]:
    """Describe everything that `up` runs, by name; the robot takes no time. A rate of 0 sets no limit."""
    layout = free_layout(stage.folder, postgres=stage.postgres, kafka=stage.bootstrap)
    rate = {"SLICELINE_PROVIDER_RATE": str(provider_rate), **(env or {})}
    everything = [
        *local_programs.sandbox(layout),
        *local_programs.services(layout),
        *local_programs.robot(layout, delay=0),
    ]
    return {program.name: replace(program, env={**program.env, **rate}) for program in everything}


@contextmanager
def whole_shop(stage: Stage) -> Iterator[dict[str, Program]]:
    """Run everything that `up` runs during the block, with no limit at the provider and more in stock than is sold."""
    stage.migrate()
    stage.sql(stage.database("inventory"), PLENTY)
    described = house(stage, provider_rate=0)
    with ExitStack() as stack:
        for program in described.values():
            stack.enter_context(stage.running(program))
        yield described


def free_layout(home: Path, *, postgres: str | None = None, kafka: str | None = None) -> Layout:
    """Make a layout of the catalogue's ports, moved to where none is taken. Servers that are named are used."""
    for offset in range(20_000, 40_000, 500):
        layout = Layout(offset, postgres, Brokers(kafka) if kafka else None, home, has_doors=False)
        if not ports.taken(layout.ports()):
            return layout
    raise RuntimeError("No free range of ports was found.")
