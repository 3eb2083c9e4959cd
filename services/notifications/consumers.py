"""What notifications does about what it hears: it writes the mail down, and a job sends it."""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.notifications import decisions, store
from services.notifications.decisions import Fact
from services.notifications.events import OrderCancelled, OrderConfirmed, OrderDelayed, OrderRejected, StockAlertRaised
from services.notifications.jobs import SEND


async def write_mails(events: Sequence[Event[Fact]], tx: Tx) -> None:
    """The occurrence names both the row and the Message-ID, whatever is tried again."""
    mails = {event.occurrenceid: decisions.mail_about(event.data) for event in events}
    await store.add_all(tx, mails)
    for event in events:
        if mails[event.occurrenceid].is_deliverable:
            tx.schedule(SEND, event.occurrenceid, cause=event.cause)


HANDLERS: Handlers = dict.fromkeys(
    (OrderConfirmed, OrderRejected, OrderCancelled, OrderDelayed, StockAlertRaised), BatchHandler(write_mails)
)
