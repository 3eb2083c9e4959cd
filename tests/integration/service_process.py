"""One process of a service, started as people and supervisors start it, and asked from outside."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from backbone.values.brokers import Brokers
from local.ports import HOST, free_port
from local.program import Program, python
from tests.conftest import NewDatabase
from tests.issuing import SOMEBODY, by
from tests.processes import Process
from tests.waiting import eventually

NOWHERE = "127.0.0.1:9"
"""Where nobody listens."""


@dataclass
class ServiceProcess:
    """A running process; `lines` are what it has logged so far."""

    process: Process
    client: httpx.AsyncClient

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.output().splitlines()]

    def output(self) -> str:
        return self.process.log.read_text()

    async def waiting_for(self) -> dict[str, str] | None:
        """What /health/ready says is missing; None while nobody answers."""
        try:
            answer = await self.client.get("/health/ready")
        except httpx.TransportError:
            return None
        return dict(answer.json().get("waiting", {}))

    async def until_waiting_for(self, *names: str, within: float = 45) -> None:
        """Until exactly these are missing; none: until it is ready."""

        async def holds() -> bool:
            waiting = await self.waiting_for()
            return waiting is not None and set(waiting) == set(names)

        await eventually(holds, within)

    async def until_missing(self, *names: str, within: float = 45) -> None:
        """Until at least these are missing."""

        async def holds() -> bool:
            return set(names) <= set(await self.waiting_for() or {})

        await eventually(holds, within)

    async def logged(self, action: str, **said: Any) -> dict[str, Any]:
        """The first line of an action that says this, as soon as it is there."""
        found: list[dict[str, Any]] = []

        async def is_there() -> bool:
            found[:] = [line for line in self.lines() if {"action": action, **said}.items() <= line.items()]
            return bool(found)

        await eventually(is_there, 30)
        return found[0]

    async def stop(self, within: float = 10) -> int:
        """SIGTERM; returns the exit code."""
        self.process.signal(signal.SIGTERM)
        return await self.process.ended(within)


@contextlib.asynccontextmanager
async def process_of(
    module: str, log: Path, *arguments: str, **settings: str | Brokers
) -> AsyncIterator[ServiceProcess]:
    """The module as a process on a port of its own; `settings` are its environment without SLICELINE_."""
    port = free_port()
    env: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Brokers):
            env |= value.environment()
        else:
            env[name if name.startswith("OTEL_") else f"SLICELINE_{name}".upper()] = value
    program = Program(
        name=module,
        command=python("-m", module, *arguments),
        env={"SLICELINE_HOST": HOST, "SLICELINE_PORT": str(port), **env},
        stop_signal=signal.SIGKILL,
    )
    process = Process(program, log)
    process.launch()
    try:
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=10, headers=by(SOMEBODY)) as client:
            yield ServiceProcess(process, client)
    finally:
        await process.kill()


@contextlib.asynccontextmanager
async def orders_api(new_database: NewDatabase, log: Path, **settings: str | Brokers) -> AsyncIterator[ServiceProcess]:
    """The API of orders alone, ready, on a fresh database."""
    url = await asyncio.to_thread(new_database, "orders")
    async with process_of("services.orders.service", log, "--roles", "api", database_url=url, **settings) as orders:
        await orders.until_waiting_for()
        yield orders
