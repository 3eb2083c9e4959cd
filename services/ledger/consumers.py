"""Keeps every event that anybody has published, on whatever bus the ledger may read."""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events import buses
from backbone.events.payload import Event, Recorded, every_record_of
from backbone.storage.database import Tx
from services import CATALOGUE
from services.ledger import store
from services.ledger.balance.store import note_copies
from services.ledger.kept import kept


async def keep(events: Sequence[Event[Recorded]], tx: Tx) -> None:
    """Keep a batch of events in one statement."""
    await store.add_all(tx, [kept(event) for event in events])


_KEEP = BatchHandler(keep, repeated=note_copies)
HANDLERS: Handlers = dict.fromkeys(map(every_record_of, buses.readable("ledger", CATALOGUE)), _KEEP)
