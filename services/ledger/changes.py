"""Tells what has changed in the shop of late: what staff and operators did, and what no act of theirs tells."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain

import msgspec

from services import CATALOGUE
from services.ledger.kept import Archived, data_of
from services.ledger.sentences import sentence
from services.ledger.wiring import Wiring, short, types_of

ACTS = "acts-recorded"
TOLD = (
    "ledger.balance-broken",
    "ledger.balance-restored",
    "ledger.contract-released",
    "webhooks.endpoint-disabled",
    "webhooks.endpoint-failing",
)
BUTTONS = ("POST /tickets/", "POST /deliveries/")
"""What kitchen and couriers press is the shop's own work, and changes nothing about the shop."""
PLACING = "POST /orders"
"""Nor does an order that somebody places for a customer: there may be hundreds, as after `./sliceline seed`."""
CARTS = ("POST /carts", "PUT /carts/", "DELETE /carts/")
"""Nor does what somebody puts into a customer's cart until it is such an order."""
_REFUSED = "refused"


class Change(msgspec.Struct, frozen=True):
    """Holds one change. `by` and `path` are those of an act, None of what happened by itself."""

    at: datetime
    service: str
    text: str
    event: str | None = None
    """The id of the archived event that tells of it; None where none does."""
    by: str | None = None
    path: str | None = None
    outcome: str | None = None


class _Act(msgspec.Struct, frozen=True):
    at: datetime
    actor: str
    what: str
    path: str
    outcome: str


class _Acts(msgspec.Struct, frozen=True):
    acts: tuple[str, ...]


def types_told(wiring: Wiring) -> list[str]:
    """Return the types of event that tell of changes, in all versions."""
    return types_of(wiring, (*(f"{name}.{ACTS}" for name in CATALOGUE), *TOLD))


def changes(events: Sequence[Archived], others: Iterable[Change], since: datetime) -> list[Change]:
    """Return the changes that these events tell of, and those others that came since, the newest first."""
    told = (each for event in events for each in _told_by(event))
    found = [each for each in chain(told, others) if each.at >= since]
    return sorted(found, key=lambda each: (each.at, each.event or each.service), reverse=True)


def _told_by(event: Archived) -> Iterator[Change]:
    service, _, name = short(event.type).partition(".")
    if name != ACTS:
        yield Change(event.time, service, sentence(event.type, data_of(event)), event.id)
        return
    for act in _acts_of(event):
        if act.outcome != _REFUSED and act.what != PLACING and not act.what.startswith((*BUTTONS, *CARTS)):
            yield Change(act.at, service, act.what, event.id, act.actor, act.path, act.outcome)


def _acts_of(event: Archived) -> Sequence[_Act]:
    """Read acts as their service has written them; what nobody can read is told by the audit log alone."""
    try:
        told = msgspec.json.decode(event.value, type=_Acts)
        return [msgspec.json.decode(each, type=_Act) for each in told.acts]
    except msgspec.MsgspecError:
        return ()
