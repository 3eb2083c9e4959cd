"""Checks that a connection of ours is one session of the server, from its first statement to its last.

Statements are prepared once for a session and settings are made once for it. A pooler that gives each transaction
whichever session is free breaks both, now and then and in ways that point elsewhere, so it is refused at the start.
"""

import asyncio
import math
from collections.abc import Awaitable
from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from backbone.errors import SlicelineError
from backbone.running.faults import is_passing
from backbone.running.pulse import Pulse
from backbone.storage.database import Database

ROUNDS = 10
"""Three were too few: behind a pooler that others keep busy, both of ours may get the same session each time."""
FOREIGN_STATEMENTS = ("26000", "42P05")
"""A statement that we have prepared is not there, or one that we have not is."""
PATIENCE = 5.0
"""Seconds that a start waits for the database before it goes on without; it is looked again every second."""


class SharedSessions(SlicelineError):
    """The pooler before Postgres gives each transaction another session: set its pool_mode to session."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class Sessions:
    """Makes sure, once the database answers, that nobody else uses our sessions."""

    def __init__(self, database: Database) -> None:
        self.pulse = Pulse("sessions")
        self.pulse.ready()  # that the database is away is told by whoever needs it
        self._is_known = False
        self._database = database
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Return from `run` as soon as possible."""
        self._stop.set()

    async def look(self) -> None:
        """Check, where the database answers at once. Raises SharedSessions."""
        self._is_known = await answered_at_once(refuse_shared(self._database))

    async def run(self) -> None:
        """Look until it is known, then wait for `stop`. Raises SharedSessions."""
        while not self._is_known and not self._stop.is_set():
            self.pulse.beat(PATIENCE)
            await self._rest(1)
            await self.look()
        self.pulse.beat(math.inf)
        await self._stop.wait()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()


async def answered_at_once(asking: Awaitable[None]) -> bool:
    """Await what asks the database at a start; False where it does not answer. Raises what does not pass."""
    try:
        async with asyncio.timeout(PATIENCE):
            await asking
    except Exception as error:
        if not is_passing(error):
            raise
        return False
    return True


async def refuse_shared(database: Database) -> None:
    """Ask over two connections in turn which session they are: the same ones every time, and not the same one."""
    of_one, of_other = set[int](), set[int]()
    try:
        async with database.reading() as one, database.reading() as other:
            for _ in range(ROUNDS):
                of_one.add(await _session(one))
                of_other.add(await _session(other))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in FOREIGN_STATEMENTS:
            raise SharedSessions from error
        raise
    if len(of_one) > 1 or len(of_other) > 1 or of_one & of_other:
        raise SharedSessions


async def _session(connection: AsyncConnection) -> int:
    return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())
