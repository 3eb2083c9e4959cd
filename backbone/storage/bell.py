"""Wakes the relay and the workers for what other processes of the service have committed.

A commit wakes those of its own process. One that is committed where there is none of them is told to the other
processes by NOTIFY, after the transaction and at most fifty times a second: in every transaction it cost two thirds of
the commit rate. Whoever listens may therefore sleep; what was said and not heard is found at the next look.
"""

import asyncio
import math
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg

from backbone.running.pulse import RESTART, Pulse, report
from backbone.storage.database import Database
from backbone.storage.sql import NOTIFY

CHANNEL = "sliceline"
GATHERING = 0.02
"""Seconds between two rounds of telling: what is committed meanwhile is told together."""
_WITHIN = 10.0
_SILENCE = 30.0
"""Seconds after which a connection that had nothing to tell is asked whether it is still one."""
_NO_TIME = timedelta(0)


class Bell:
    """Listens to the service's other processes, and tells them what nobody here does, until stopped."""

    def __init__(self, database: Database) -> None:
        self.pulse = Pulse("bell")
        self.pulse.ready()  # without it the others look more often; that the database is away is told by them
        self._database = database
        self._wakeups = database.wakeups
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Return from `run` as soon as possible."""
        self._stop.set()
        self._wakeups.untold.set()

    async def run(self) -> None:
        """Listen and tell until `stop`; a connection that is lost is replaced."""
        attempt = 0
        while not self._stop.is_set():
            try:
                await self._session()
                attempt = 0
            except Exception as error:
                attempt += 1
                delay = RESTART.next_delay(attempt, _NO_TIME) or RESTART.longest
                report(self.pulse.name, error, delay)
                await self._rest(delay.total_seconds())

    async def _session(self) -> None:
        self.pulse.beat(_WITHIN)
        raw = await self._database.connect_aside(_WITHIN)
        try:
            raw.add_termination_listener(self._lost)
            await raw.add_listener(CHANNEL, self._heard)
            self._wakeups.is_listening = True
            self._wakeups.ring_all()  # for what was told while nobody listened
            while not self._stop.is_set() and not raw.is_closed():
                self.pulse.beat(math.inf)
                await self._something_untold()
                if self._stop.is_set() or raw.is_closed():
                    return
                self.pulse.beat(_WITHIN)
                async with asyncio.timeout(_WITHIN):
                    await self._tell(raw)
                await self._rest(GATHERING)
        finally:
            self._wakeups.is_listening = False
            raw.terminate()

    async def _something_untold(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SILENCE):
                await self._wakeups.untold.wait()

    async def _tell(self, raw: "asyncpg.Connection[Any]") -> None:
        names = self._wakeups.take_untold()
        try:
            if names:
                await NOTIFY.fetch(raw, channel=CHANNEL, name=sorted(names))
            else:  # who only listens never hears that the other side is gone
                await raw.execute("SELECT 1")
        except Exception:
            self._wakeups.tell(names)
            raise

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    def _heard(self, _raw: Any, _pid: int, _channel: str, name: Any) -> None:
        self._wakeups.ring(str(name))

    def _lost(self, _raw: Any) -> None:
        self._wakeups.is_listening = False
        self._wakeups.untold.set()
