"""Heeds what an operator has paused: has Kafka's client fetch nothing, while it stays in its group.

Beside that each batch asks in its own transaction (`sql.OFFSETS_MOVE`), so that none is begun after a pause.
"""

import asyncio

from aiokafka import AIOKafkaConsumer

from backbone.consuming import sql
from backbone.storage.database import Database


class Heeding:
    """Knows whether somebody has paused a consumer."""

    def __init__(self, database: Database, consumer: str) -> None:
        self.is_paused = False
        self._database = database
        self._consumer = consumer

    @property
    def told(self) -> asyncio.Event:
        """The event that is set when that may have changed."""
        return self._database.wakeups.consumer

    async def learn(self) -> None:
        """Ask the database, if anything was told since the last time."""
        if self.told.is_set():
            self.told.clear()
            try:
                [row] = await sql.IS_PAUSED.fetch(self._database, consumer=self._consumer)
            except BaseException:
                self.told.set()
                raise
            self.is_paused = row["is_paused"]

    def heed(self, client: AIOKafkaConsumer) -> bool:
        """Pause or resume the client's partitions; tell whether any was, so that what it has read is to be dropped."""
        assigned, held = client.assignment(), client.paused()
        if self.is_paused:
            client.pause(*assigned)
            return bool(assigned - held)
        client.resume(*held)
        return bool(held)
