"""How each kind of fault strikes and is healed: a context that is entered at its beginning and left at its end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from local import ROOT
from tests.faults import foreign, points
from tests.faults.schedule import Fault
from tests.faults.striking import Striking
from tests.journal import everything
from tests.processes import STOP_WITHIN
from tests.waiting import eventually

PASSING = 15.0
"""Seconds for which a process that shall die at a point may still come by, where the machine is slow."""
HOLDER = """
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
MUCH_TO_LOG = """
SELECT pg_logical_emit_message(false, 'faults', repeat('x', 1000000)) FROM generate_series(1, 40)
"""
"""More than two files of Postgres's own log have room for: it has to make a new one."""
SERVERS_OF_DISKS = {"postgres-disk-full": "postgres", "broker-disk-full": "kafka"}

Strike = Callable[[Striking, Fault], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def _kill(on: Striking, fault: Fault) -> AsyncIterator[None]:
    await on.kill(fault.target)
    yield
    await on.revive(fault.target)


@asynccontextmanager
async def _freeze(on: Striking, fault: Fault) -> AsyncIterator[None]:
    on.world.system[fault.target].freeze()
    yield
    on.world.system[fault.target].thaw()


@asynccontextmanager
async def _kill_postgres(on: Striking, _: Fault) -> AsyncIterator[None]:
    await asyncio.to_thread(on.world.servers.postgres.server.kill)
    on.kills += 1
    yield
    await asyncio.to_thread(on.world.servers.start_postgres)
    await on.measure("postgres")


@asynccontextmanager
async def _kill_broker(on: Striking, _: Fault) -> AsyncIterator[None]:
    async with on.broker:
        await asyncio.to_thread(on.world.servers.kafka.server.kill)
        on.kills += 1
        yield
        await asyncio.to_thread(on.world.servers.start_kafka)
    await on.measure("broker")


@asynccontextmanager
async def _fill_postgres(on: Striking, fault: Fault) -> AsyncIterator[None]:
    """For a while tables do not grow; then the server's own log has no room either, and the server panics."""
    # Connected before: a full disk lets nobody in whose connection has something to write down.
    connection = await asyncpg.connect(on.world.servers.postgres.url)
    async with on.world.disks["postgres"].full():
        logging = asyncio.create_task(_use_up_log(connection, after=fault.length / 2))
        yield
        await logging
    on.halted["postgres"] += await asyncio.to_thread(on.world.servers.recover_postgres)
    await on.measure("postgres")


async def _use_up_log(connection: "asyncpg.Connection[Any]", after: float) -> None:
    await asyncio.sleep(after)
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await connection.execute(MUCH_TO_LOG)
        await connection.close()


@asynccontextmanager
async def _fill_broker(on: Striking, _: Fault) -> AsyncIterator[None]:
    async with on.broker:
        async with on.world.disks["kafka"].full():
            yield
        on.halted["broker"] += await asyncio.to_thread(on.world.servers.recover_kafka)
    await on.measure("broker")


@asynccontextmanager
async def _cut(on: Striking, fault: Fault, *, server: str) -> AsyncIterator[None]:
    road = on.world.system.roads[f"{server} {fault.target}".strip()]
    await road.close()
    yield
    await road.open()


@asynccontextmanager
async def _deafen(on: Striking, fault: Fault, *, server: str) -> AsyncIterator[None]:
    road = on.world.system.roads[f"{server} {fault.target}".strip()]
    road.deafen()
    yield
    road.undeafen()


@asynccontextmanager
async def _two_relays(on: Striking, fault: Fault) -> AsyncIterator[None]:
    """A second one stands by, and the server cuts off whichever is at work: for a moment both may be sending."""
    name = await _replica(on, fault.target, "relay")
    for _ in range(5):
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await on.world.shop.fetch(fault.target, HOLDER)
        await asyncio.sleep(0.1)
    yield
    await _without(on, name)


@asynccontextmanager
async def _rolling(on: Striking, fault: Fault) -> AsyncIterator[None]:
    """A process of another build comes before the first one goes, and goes after that has come back."""
    name = await _replica(on, fault.target, "relay,consumers,jobs", on.other_build)
    await on.world.system[fault.target].stop()
    yield
    await on.revive(fault.target)
    await _without(on, name)


async def _replica(on: Striking, service: str, roles: str, build: Path = ROOT) -> str:
    process = await on.world.system.replica(service, roles, build)
    return process.program.name


async def _without(on: Striking, name: str) -> None:
    await on.world.system.processes.pop(name).stop()


@asynccontextmanager
async def _locked(on: Striking, fault: Fault) -> AsyncIterator[None]:
    """Whoever publishes waits, holding a connection: the pool has none left."""
    async with on.world.shop.database(fault.target) as connection, connection.transaction():
        await connection.execute("LOCK TABLE sequences IN ACCESS EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def _wrong_clock(on: Striking, fault: Fault) -> AsyncIterator[None]:
    on.world.tell(fault.target, "clock", str(on.dice.choice((-7200, -90, 90, 7200))))
    yield
    on.world.tell(fault.target, "clock", None)


@asynccontextmanager
async def _kill_at(on: Striking, fault: Fault, *, point: str) -> AsyncIterator[None]:
    victim = on.world.system[fault.target].running
    on.world.tell(fault.target, "armed", point)
    yield
    with suppress(AssertionError):
        await eventually(lambda: not on.world.is_armed(fault.target), PASSING, every=0.2)
    if on.world.is_armed(fault.target):
        on.world.tell(fault.target, "armed", None)
        on.missed.append(f"{point} of {fault.target}")
        return
    on.kills += 1
    if victim:  # it disarms, and dies a moment later
        await asyncio.to_thread(victim.wait, STOP_WITHIN)
    await on.revive(fault.target)


@asynccontextmanager
async def _mood(on: Striking, _: Fault, **moods: Any) -> AsyncIterator[None]:
    await on.world.shop.moods(**moods)
    yield
    await on.world.shop.moods()


@asynccontextmanager
async def _limited_provider(on: Striking, _: Fault) -> AsyncIterator[None]:
    await on.world.shop.limit_provider(1)
    yield
    await on.world.shop.limit_provider(0)


@asynccontextmanager
async def _reset_provider(on: Striking, _: Fault) -> AsyncIterator[None]:
    """Connections last a moment."""
    road, heals = on.world.system.roads["provider"], asyncio.Event()

    async def resetting() -> None:
        while not heals.is_set():
            await road.close()
            await road.open()  # never cut short: it would go on listening, and nobody could close it any more
            await asyncio.sleep(0.05)

    task = asyncio.create_task(resetting())
    yield
    heals.set()
    await task


@asynccontextmanager
async def _twice(on: Striking, _: Fault) -> AsyncIterator[None]:
    on.world.system.roads["provider"].doubles = True
    yield
    on.world.system.roads["provider"].doubles = False


@asynccontextmanager
async def _send_again(on: Striking, _: Fault) -> AsyncIterator[None]:
    kafka = on.world.servers.kafka.admin
    async with on.broker:
        found = await foreign.records(kafka, on.sent_again, everything())
        sound = [each for each in found if (each.key or b"").decode() not in on.world.shop.spoilt]
        on.redeliveries += await foreign.send_again(kafka, sound, on.dice)
    yield


@asynccontextmanager
async def _poison(on: Striking, _: Fault) -> AsyncIterator[None]:
    async with on.broker:
        for topic in ("orders.events", "payments.events"):
            await _spoil(on, topic, f"poison-{uuid4().hex}")
    yield


async def _spoil(on: Striking, topic: str, key: str) -> None:
    on.world.shop.spoilt.add(key)
    for value, headers in foreign.poison(key):
        on.world.shop.spoilt.add(await foreign.send(on.world.servers.kafka.admin, key, value, headers, topic))


@asynccontextmanager
async def _burst(on: Striking, _: Fault) -> AsyncIterator[None]:
    on.crowd.bursting = True
    yield
    on.crowd.bursting = False


@asynccontextmanager
async def _one_sku(on: Striking, _: Fault) -> AsyncIterator[None]:
    on.crowd.hot = True
    yield
    on.crowd.hot = False


STRIKES: Mapping[str, Strike] = {
    "kill": _kill,
    "freeze": _freeze,
    "postgres-killed": _kill_postgres,
    "broker-killed": _kill_broker,
    "postgres-disk-full": _fill_postgres,
    "broker-disk-full": _fill_broker,
    "postgres-cut": partial(_cut, server="postgres"),
    "postgres-deaf": partial(_deafen, server="postgres"),
    "broker-cut": partial(_cut, server="broker"),
    "broker-deaf": partial(_deafen, server="broker"),
    "two-relays": _two_relays,
    "rolling": _rolling,
    "pool-exhausted": _locked,
    "clock": _wrong_clock,
    "kill-before-commit": partial(_kill_at, point=points.BEFORE_COMMIT),
    "kill-before-answer": partial(_kill_at, point=points.BEFORE_ANSWER),
    "kill-before-outbox-commit": partial(_kill_at, point=points.BEFORE_OUTBOX_COMMIT),
    "kill-after-charge": partial(_kill_at, point=points.AFTER_CHARGE),
    "kill-before-offset": partial(_kill_at, point=points.BEFORE_OFFSET),
    "provider-slow": partial(_mood, slow_seconds=2),
    "provider-429": _limited_provider,
    "provider-500": partial(_mood, failing=True),
    "provider-reset": _reset_provider,
    "provider-timeout": partial(_mood, timeout_after_charging=True, timeout_after_refunding=True, hang_seconds=2),
    "provider-twice": _twice,
    "duplicates": _send_again,
    "poison": _poison,
    "burst": _burst,
    "one-sku": _one_sku,
}


def needs(faults: "list[Fault]") -> set[str]:
    """What must be reached by a road, so that it can be cut off."""
    found = set()
    for fault in faults:
        if fault.kind in ("postgres-cut", "postgres-deaf"):
            found.add(f"postgres {fault.target}")
        elif fault.kind in ("broker-cut", "broker-deaf"):
            found.add("broker")
        elif fault.kind in ("provider-reset", "provider-twice"):
            found.add("provider")
    return found


def small_disks(kinds: Collection[str]) -> set[str]:
    """The servers of which these kinds fill the disk."""
    return {SERVERS_OF_DISKS[kind] for kind in kinds if kind in SERVERS_OF_DISKS}
