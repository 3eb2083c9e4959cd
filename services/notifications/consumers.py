"""What notifications does about what it hears: it writes the mail down, and a job sends it."""

from backbone.database import Tx
from backbone.events import Event
from backbone.service import Handlers
from services.notifications import decisions
from services.notifications.decisions import Mail
from services.notifications.events import OrderCancelled, OrderConfirmed, OrderRejected, StockAlertRaised
from services.notifications.jobs import SEND
from services.notifications.tables import notifications


async def tell_confirmed(event: Event[OrderConfirmed], tx: Tx) -> None:
    await _write(event.occurrenceid, decisions.confirmed(event.data), tx)


async def tell_rejected(event: Event[OrderRejected], tx: Tx) -> None:
    await _write(event.occurrenceid, decisions.rejected(event.data), tx)


async def tell_cancelled(event: Event[OrderCancelled], tx: Tx) -> None:
    await _write(event.occurrenceid, decisions.cancelled(event.data), tx)


async def tell_shop(event: Event[StockAlertRaised], tx: Tx) -> None:
    await _write(event.occurrenceid, decisions.stock_alert(event.data), tx)


async def _write(occurrence: str, mail: Mail, tx: Tx) -> None:
    """The occurrence names both the row and the Message-ID, whatever is tried again."""
    deliverable = mail.recipient is None or decisions.is_address(mail.recipient)
    row = {
        "id": occurrence,
        "kind": mail.kind.value,
        "about": mail.about,
        "recipient": mail.recipient,
        "subject": mail.subject,
        "body": mail.body,
        "message_id": f"<{occurrence}@sliceline.example>",
        "status": "queued" if deliverable else "failed",
        "reason": None if deliverable else "This is no address that a mail server would take.",
        "created_at": tx.now,
    }
    await tx.execute(notifications.insert().values(row))
    if deliverable:
        tx.schedule(SEND, occurrence)


HANDLERS: Handlers = {
    OrderConfirmed: tell_confirmed,
    OrderRejected: tell_rejected,
    OrderCancelled: tell_cancelled,
    StockAlertRaised: tell_shop,
}
