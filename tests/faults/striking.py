"""What strikes and heals, and what came of it: kills, records that came again, and how soon everybody worked again."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from local import ROOT
from tests.books import unread
from tests.faults.customers import end_leases
from tests.faults.load import Crowd
from tests.faults.world import World
from tests.journal import Journal

WITHIN = {"broker": 30.0, "postgres": 15.0}
"""Seconds after which every consumer works again once its server is back; three times that and a promise is broken."""
OFFSETS = "SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets"


@dataclass
class Striking:
    """What strikes, and what came of it."""

    world: World
    crowd: Crowd
    dice: random.Random
    other_build: Path = ROOT
    struck: Counter[str] = field(default_factory=Counter)
    """How often each kind of fault has."""
    kills: int = 0
    restarts: int = 0
    """How often a process that had ended by itself was started anew."""
    halted: Counter[str] = field(default_factory=Counter)
    """How often a server ended itself because its disk was full."""
    redeliveries: int = 0
    missed: list[str] = field(default_factory=list)
    """Points at which nobody died, because nobody passed there in time."""
    resumed: dict[str, list[float]] = field(default_factory=lambda: {"broker": [], "postgres": []})
    violations: list[str] = field(default_factory=list)
    sent_again: dict[TopicPartition, int] = field(default_factory=dict)
    broker: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while there is no broker, and by whoever of us writes to it."""

    async def kill(self, service: str) -> None:
        await self.world.system[service].kill()
        self.kills += 1

    async def revive(self, service: str) -> None:
        """Start it, and take whatever the dead one had in hand for given up."""
        process = self.world.system[service]
        if not process.alive:
            process.launch()
        await process.until_ready()
        await end_leases(self.world.shop, [service])

    async def supervise(self) -> None:
        """Start anew whoever ends by itself, as a supervisor would, for as long as the run lasts."""
        while True:
            for process in list(self.world.system.processes.values()):
                if not process.alive and not process.end_awaited:
                    self.restarts += 1
                    process.launch()
            await asyncio.sleep(1)

    async def measure(self, what: str) -> None:
        """Wait until every consumer has moved on, or has nothing left to read, now that its server is back."""
        began, waiting = time.monotonic(), set(self.world.system.services)
        at = {service: await self._offsets(service) for service in waiting}
        limit = WITHIN[what]
        journal = Journal(self.world.servers.kafka.admin)
        try:
            while waiting and time.monotonic() - began < 3 * limit:
                try:
                    ends = await journal.ends()
                except KafkaError:  # not back for us either
                    continue
                for service in list(waiting):
                    moved = await self._offsets(service) != at[service]
                    if moved or not await unread(self.world.shop, service, ends):
                        waiting.discard(service)
                await asyncio.sleep(0.25)
        finally:
            await journal.close()
        self.resumed[what].append(round(time.monotonic() - began, 1))
        for service in sorted(waiting):
            self.violations.append(f"{service} did not go on within {3 * limit:g} s after the {what} was back")

    async def _offsets(self, service: str) -> int:
        [(found,)] = await self.world.shop.fetch(service, OFFSETS)
        return int(found)
