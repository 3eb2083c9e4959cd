"""Says which mails about an order follow from events: written by the service's own decisions, sent as told."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from backbone.decision import Decision
from backbone.events.payload import Event
from backbone.rebuilding import Rebuilding
from services.notifications.decisions import FACTS, mail_about
from services.notifications.events import CartReminderDue, NotificationSent, StockAlertRaised

_Mails = Mapping[str, tuple[str, str]]
"""What each mail is about and where it stands, by the occurrence that it tells of."""


def _written(mails: _Mails | None, event: Event[Any], _: datetime) -> Decision[_Mails] | None:
    decision = mail_about(event.data)
    if decision is None:
        return None
    status = "queued" if decision.start else "failed"
    return Decision({**(mails or {}), event.occurrenceid: (str(decision.state.kind), status)})


def _sent(mails: _Mails | None, event: Event[NotificationSent], _: datetime) -> Decision[_Mails]:
    return Decision({**(mails or {}), event.data.notification: (event.data.kind, "sent")})


def _order_of(payload: Any) -> str | None:
    about: str | None = payload.about if isinstance(payload, NotificationSent) else payload.order
    return about


REBUILDS = (
    Rebuilding(
        of="order",
        key=_order_of,
        heard={fact: _written for fact in FACTS if fact not in (StockAlertRaised, CartReminderDue)},
        told={NotificationSent: _sent},
        at_once=frozenset(),
        show=lambda mails: [{"kind": kind, "status": status} for kind, status in mails.values()],
        lacks="Whether a mail could not be delivered: no event tells it, so it counts as queued.",
    ),
)
