"""Says in customers' words where an order stands, and through which steps it goes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WORDS = {
    "placed": "Received",
    "backordered": "Waiting for an ingredient",
    "confirmed": "Confirmed",
    "preparing": "Being made",
    "baked": "Out of the oven",
    "ready": "Ready for you",
    "dispatched": "On its way",
    "completed": "With you",
    "cancelling": "Being cancelled",
    "rejected": "Refused",
    "cancelled": "Cancelled",
}
ENDS = frozenset({"completed", "rejected", "cancelled"})
CANCELLABLE = frozenset({"placed", "backordered", "confirmed"})
"""Where an order may still be cancelled: later the kitchen has begun."""
DONE, NOW, NEXT = "done", "now", "next"
Order = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """Is one step of an order: its status, whether it is done, and when it was."""

    status: str
    state: str
    at: str | None = None

    @property
    def words(self) -> str:
        """What the step is called."""
        return WORDS[self.status]


def steps_of(order: Order) -> list[Step]:
    """List the steps of an order: those it took, and, while it goes on, those that should follow."""
    taken = _taken(order["timeline"])
    state = DONE if order["status"] in ENDS else NOW
    came = [Step(status, state if status == order["status"] else DONE, at) for status, at in taken.items()]
    return came + [Step(status, NEXT) for status in _ahead(order) if status not in taken]


def pieces(lines: Iterable[Mapping[str, Any]], names: Mapping[str, str] | None = None) -> str:
    """Say what is in an order: 2 × Margherita, 1 × Cola."""
    return ", ".join(f"{line['quantity']} × {(names or {}).get(line['item'], line['item'])}" for line in lines)


def _taken(timeline: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return each status the order came to, in that order, with when it did so first."""
    taken: dict[str, str] = {}
    for entry in timeline:
        if entry["status"] is not None:
            taken.setdefault(entry["status"], entry["at"])
    return taken


def _ahead(order: Order) -> list[str]:
    if order["status"] in ENDS:
        return []
    if order["status"] == "cancelling":
        return ["cancelled"]
    collected = order["fulfilment"] == "collection"
    baked = any(line["baked"] for line in order["lines"])
    kitchen = ["preparing", "ready" if collected else "baked"] if baked else []
    return ["confirmed", *kitchen, *([] if collected else ["dispatched"]), "completed"]
