"""The whole shop on servers of its own, each of which can be killed, started again where it was, and cut off."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from local import kafka as local_kafka
from local import postgres as local_postgres
from local.ports import HOST, free_port
from local.program import NotReady, Program, Server, await_ready, python
from services import CATALOGUE
from tests.faults import taps
from tests.faults.customers import end_leases
from tests.faults.disks import Disk
from tests.journal import Journal
from tests.processes import SANDBOX, System
from tests.roads import Road
from tests.servers import POSTGRES_SETTINGS
from tests.system import Shop

# Its disk may be small, and where that is full it shall have no old file left to write its log to.
SETTINGS = {**local_postgres.SETTINGS, **POSTGRES_SETTINGS, "max_wal_size": "256MB", "wal_recycle": "off"}
LINGERING = 1.0
"""Seconds for which a server that meets a full disk may still answer, though it is about to end."""


@dataclass
class Servers:
    """Both servers, each of which can be killed and started again where it was."""

    directory: Path
    postgres: local_postgres.Postgres
    kafka: local_kafka.Kafka

    @classmethod
    def begin(cls, directory: Path, proxied: local_kafka.Proxied | None) -> "Servers":
        for name in ("postgres", "kafka"):  # what they say is kept with the others' logs, not on their disks
            (directory / name).mkdir(parents=True, exist_ok=True)
            (directory / name / "server.log").symlink_to(directory / f"{name}.log")
        started = local_postgres.start(directory / "postgres", settings=SETTINGS)
        try:
            broker = local_kafka.start(directory / "kafka", local_kafka.Ports.free(proxied))
            return cls(directory, started, broker)
        except BaseException:
            started.server.kill()
            raise

    @property
    def postgres_address(self) -> str:
        return f"{HOST}:{self.postgres.server.program.port}"

    def start_kafka(self) -> None:
        self.kafka = local_kafka.start(self.directory / "kafka", self.kafka.ports)

    def start_postgres(self) -> None:
        """Its sessions outlive a killed server for a moment, and until then it refuses to start."""
        port = self.postgres.server.program.port
        for _ in range(20):
            try:
                self.postgres = local_postgres.start(self.directory / "postgres", port, SETTINGS)
            except NotReady as error:
                refusal = error
            else:
                return
        raise refusal

    def recover_postgres(self) -> bool:
        return _recover(self.postgres.server, self.start_postgres)

    def recover_kafka(self) -> bool:
        return _recover(self.kafka.server, self.start_kafka)

    def end(self) -> None:
        self.kafka.server.kill()
        self.postgres.server.kill()


def _recover(server: Server, start: Callable[[], None]) -> bool:
    """Wait until a server answers again; start it where it has ended itself or hangs, and tell whether it had.

    Postgres 18 has hung so: its recovery ended at the full disk, and the server waited for that for ever.
    """
    try:
        await_ready(server)
        time.sleep(LINGERING)
    except NotReady:
        server.kill()
    if server.process.poll() is None:
        return False
    start()
    return True


@dataclass
class WrappedSystem(System):
    """Services run under `wrapped.py`; some reach Postgres, the broker or the provider by roads that can be closed."""

    told: Path = Path()
    roads: dict[str, Road] = field(default_factory=dict)

    def service(self, name: str, port: int | None = None) -> Program:
        program = super().service(name, port)
        env = {**program.env, "CHAOS_FOLDER": str(self.told), "CHAOS_NAME": name}
        if road := self.roads.get(f"postgres {name}"):
            env["SLICELINE_DATABASE_URL"] = by(road, self.database_url(name))
        if road := self.roads.get("broker"):
            env["SLICELINE_KAFKA"] = road.address
        if road := self.roads.get("provider"):
            env["SLICELINE_PROVIDER_URL"] = by(road, self.url("provider"))
        return replace(program, command=python("-m", "tests.faults.wrapped", name), env=env)


def by(road: Road, url: str) -> str:
    """The URL with the road in the place of its host and port."""
    parts = urlsplit(url)
    who = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{who}@{road.address}" if who else road.address))


@dataclass
class World:
    """Everything that a run has to do with."""

    servers: Servers
    system: WrappedSystem
    shop: Shop
    disks: Mapping[str, Disk] = field(default_factory=dict)

    def tell(self, service: str, what: str, text: str | None) -> None:
        """Write what a process shall do: `armed` or `clock`; None takes it back."""
        file = self.system.told / f"{service}.{what}"
        if text is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(text)

    def is_armed(self, service: str) -> bool:
        return (self.system.told / f"{service}.armed").exists()

    async def heal(self) -> None:
        """Undo all that may still be wrong: open every road, wake and start every process, and end old leases."""
        for name in (*SANDBOX, *CATALOGUE):
            self.tell(name, "armed", None)
            self.tell(name, "clock", None)
        for road in self.system.roads.values():
            road.undeafen()
        for name, process in list(self.system.processes.items()):
            process.thaw()
            if name not in (*SANDBOX, *CATALOGUE, "robot"):
                await process.stop()
                del self.system.processes[name]
        for process in self.system.processes.values():
            if not process.alive:
                process.launch()
        await asyncio.gather(*(process.until_ready() for process in self.system.processes.values()))
        await self.shop.moods()
        await self.shop.limit_provider(0)
        await end_leases(self.shop, self.system.services)


@asynccontextmanager
async def world(
    folder: Path, cut: Collection[str], beside: Collection[str] = (), small: Collection[str] = (), megabytes: int = 0
) -> AsyncIterator[World]:
    """The shop, ready, with taps laid.

    `cut`: what can be cut off: `broker`, `provider`, `postgres SERVICE`. `small`: which of `postgres` and `kafka` has a
    disk of its own, of so many `megabytes`.
    """
    disks = {server: Disk(folder / server, megabytes) for server in small}
    (told := folder / "told").mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        for disk in disks.values():
            stack.enter_context(disk.mounted())
        behind = free_port()
        to_broker = Road(f"{HOST}:{behind}") if "broker" in cut else None
        proxied = local_kafka.Proxied(behind, to_broker.address) if to_broker else None
        servers = await asyncio.to_thread(Servers.begin, folder, proxied)
        stack.callback(servers.end)
        system = WrappedSystem(servers.postgres.url, servers.kafka.closed, folder, told=told)
        await system.prepare()
        system.roads = _roads(servers, system, cut) | ({"broker": to_broker} if to_broker else {})
        for road in system.roads.values():
            await road.open()
            stack.push_async_callback(road.close)
        # Customers who wait for one of so many connections would keep us busy, and with us every road.
        limits, timeout = httpx.Limits(max_keepalive_connections=200), httpx.Timeout(30, pool=None)
        visiting = httpx.AsyncClient(timeout=timeout, trust_env=False, limits=limits, auth=system.visitor())
        client = await stack.enter_async_context(visiting)
        shop = Shop(system, client, Journal(servers.kafka.admin))
        stack.push_async_callback(shop.close)
        for service in CATALOGUE:
            async with shop.database(service) as connection:
                await taps.lay(connection)
        stack.callback(system.end)
        await system.start()
        await system.have_beside(beside)
        yield World(servers, system, shop, disks)


def _roads(servers: Servers, system: System, cut: Collection[str]) -> dict[str, Road]:
    postgres_at = {each: servers.postgres_address for each in cut if each.startswith("postgres ")}
    provider_at = {"provider": system.url("provider").removeprefix("http://")} if "provider" in cut else {}
    return {name: Road(target) for name, target in (postgres_at | provider_at).items()}
