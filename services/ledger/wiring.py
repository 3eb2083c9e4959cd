"""Says which event follows on which, and who listens to what: as the contracts in schemas/ have it.

A contract's `x-follows` names what its event follows on: `all` of some events, `any` of them, or `each`, so that every
one of them has its own. `unless` are those after which it does not come any more, `button` is what somebody has to ask
for, `job` what is done outside. Where a contract says nothing, its event may follow on each that its service reads.
"""

import difflib
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

import msgspec

from backbone.errors import SlicelineError
from backbone.events.contracts import SCHEMAS, schema_of, schemas_of
from backbone.events.envelope import name_without_version, parse_type
from backbone.patterns.index import Index
from backbone.patterns.parsing import parse

ANY_JOB = "*"
_SHORT = "sliceline."
WORDS: Mapping[str, str] = {
    "mail": "notifications.notification-sent",
    "email": "notifications.notification-sent",
    "payment": "payments.payment-received",
    "refund": "orders.order-refunded",
    "stock": "inventory.stock-reserved",
    "points": "loyalty.points-earned",
}
"""What people say for an event."""
INSTEAD: Mapping[str, str] = {"orders.order-refunded": "payments.payment-refunded"}
"""What comes instead of an event of an order that ended early: nobody can ask for a refund of one."""


class NotKnown(SlicelineError):
    """Nobody is called so, and no event is."""


class Need(msgspec.Struct, frozen=True):
    """Names an event that another follows on, in all orders or in those of which an event matches `when`."""

    event: str
    when: Mapping[str, Any] | None = None

    def is_of(self, story: Iterable[Mapping[str, Any]]) -> bool:
        """Tell whether the need is one of an order with these events, as patterns see them."""
        if self.when is None:
            return True
        index = Index([(0, parse(self.when))])
        return any(index.match(dict(event)) for event in story)


class Wire(msgspec.Struct, frozen=True):
    """Says how an event comes about; see above."""

    mode: Literal["all", "any", "each"]
    needs: tuple[Need, ...]
    unless: tuple[str, ...] = ()
    button: str | None = None
    job: str | None = None
    """The kind of job that does it; None: no job does, `*`: it may be any."""


class Wiring(msgspec.Struct, frozen=True):
    """Holds the wires of all events by their names, and what each service listens to by name.

    Names are short, without a version: `orders.order-placed`.
    """

    wires: Mapping[str, Wire]
    reads: Mapping[str, frozenset[str]]
    services: tuple[str, ...]

    def publisher(self, name: str) -> str:
        """Name the service that publishes an event."""
        return name.split(".", 1)[0]

    def find(self, expected: str) -> str:
        """Return the name of the event or of the service that somebody means. Raises NotKnown."""
        said = WORDS.get(expected, expected).removeprefix(_SHORT)
        if said in self.services:
            return said
        stem = said.rsplit(".v", 1)[0] if said.rpartition(".v")[2].isdigit() else said
        found = [name for name in self.wires if stem in (name, name.split(".", 1)[1])]
        if len(found) == 1:
            return found[0]
        raise NotKnown(self._advice(expected, found))

    def meant(self, name: str, happened: Collection[str]) -> str:
        """Return the event that stands for one where these happened: what comes instead, once that is called for."""
        instead = INSTEAD.get(name)
        if instead is None or name in happened:
            return name
        return instead if any(need.event in happened for need in self.wires[instead].needs) else name

    def _advice(self, expected: str, found: list[str]) -> str:
        if found:
            return f"{expected} may be {' or '.join(sorted(found))}: name the service as well."
        known = [*WORDS, *self.services, *self.wires, *(name.split(".", 1)[1] for name in self.wires)]
        near = difflib.get_close_matches(expected, known, n=3, cutoff=0.6)
        hint = (
            f"Did you mean {' or '.join(near)}?" if near else "Name an event (order-confirmed), a service, or `mail`."
        )
        return f"No event and no service is called {expected}. {hint}"


def short(event_type: str) -> str:
    """Name the happening that a type tells of: `orders.order-placed` for each version of it."""
    return name_without_version(event_type).removeprefix(_SHORT)


def types_of(wiring: Wiring, names: Collection[str]) -> list[str]:
    """Return all versions of these events that have a contract."""
    services = dict.fromkeys(wiring.publisher(name) for name in names)
    wanted = set(names)
    return [each for service in services for each in schemas_of(service) if short(each) in wanted]


@lru_cache
def wiring(services: tuple[str, ...]) -> Wiring:
    """Read the wiring of these services from the contracts."""
    reads = {service: _read_by(service) for service in services}
    types = [each for service in services for each in schemas_of(service)]
    wires = {short(each): _wire(each, reads) for each in types}
    return Wiring(wires, reads, services)


def _read_by(service: str) -> frozenset[str]:
    files = (SCHEMAS / "consumers" / service).glob("*.json")
    return frozenset(short(f"{_SHORT}{file.stem}") for file in files)


def _wire(event_type: str, reads: Mapping[str, frozenset[str]]) -> Wire:
    said = schema_of(event_type).get("x-follows")
    if said is None:
        heard = reads[parse_type(event_type).service]
        return Wire("each", tuple(map(Need, sorted(heard))), job=ANY_JOB)
    mode: Literal["all", "any", "each"] = next(each for each in ("all", "any", "each") if each in said)
    needs = [Need(each) if isinstance(each, str) else Need(each["event"], each["when"]) for each in said[mode]]
    return Wire(mode, tuple(needs), tuple(said.get("unless", ())), said.get("button"), said.get("job"))
