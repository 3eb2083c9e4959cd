"""Writes down a mail about each event that it reads; a job sends it.

`decisions.FACTS` says which mail is written on which event.
"""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.notifications import decisions, store
from services.notifications.decisions import FACTS, Fact


async def write_mails(events: Sequence[Event[Fact]], tx: Tx) -> None:
    """Write a mail about each event that calls for one.

    The occurrence names both its row and its Message-ID, whatever is tried again.
    """
    written = [(event, mail) for event in events if (mail := decisions.mail_about(event.data))]
    await store.add_all(tx, {event.occurrenceid: mail.state for event, mail in written})
    for event, mail in written:
        tx.apply(mail, key=event.occurrenceid, cause=event.cause)


HANDLERS: Handlers = dict.fromkeys(FACTS, BatchHandler(write_mails))
