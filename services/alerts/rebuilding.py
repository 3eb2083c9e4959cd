"""Says which alerts about a SKU follow from events about its level, decided again."""

from datetime import datetime
from typing import Any

from backbone.decision import Decision
from backbone.events.payload import Event
from backbone.rebuilding import Rebuilding
from services.alerts.decisions import FACTS, Alerts


def _followed(alerts: Alerts | None, event: Event[Any], now: datetime) -> Decision[Alerts]:
    return FACTS[type(event.data)](alerts, event.data, now)


def _shown(alerts: Alerts) -> dict[str, Any]:
    return {"active": {each.kind: each.raised_at for each in alerts.values() if each.active}}


REBUILDS = (
    Rebuilding(
        of="sku",
        key=lambda payload: payload.sku,
        heard=dict.fromkeys(FACTS, _followed),
        told={},
        at_once=frozenset(),
        show=_shown,
        lacks="What is held back in a quiet time, which a job ends.",
    ),
)
