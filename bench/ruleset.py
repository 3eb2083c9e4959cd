"""Rules and events for the bench of rules: the shop's own events, and as many rules about them as are asked for."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from backbone.events.contracts import SCHEMAS, schemas_of
from deployment.catalogue import sample_of

KINDS = ("mixed", "exact", "prefix", "suffix", "wildcard", "numeric", "cidr", "ignore-case", "anything-but", "arrays")
"""What rules may be about; each kind but the first has all its rules about one type of event."""
CUSTOMERS = 5000
PLACED = "sliceline.orders.order-placed.v1"


def events(count: int) -> list[bytes]:
    """Make events as they are read from a topic: JSON texts, each of the shop's types as often as any other."""
    chance = random.Random(1)
    samples = [(event_type, sample_of(event_type)) for event_type in _types()]
    return [_event(*samples[number % len(samples)], number, chance) for number in range(count)]


def placed(count: int) -> list[bytes]:
    """Make events of one type, order-placed, for those kinds of rules that are all about it."""
    chance = random.Random(2)
    sample = sample_of(PLACED)
    return [_event(PLACED, sample, number, chance) for number in range(count)]


def _event(event_type: str, sample: dict[str, Any], number: int, chance: random.Random) -> bytes:
    data = {**sample, "order": f"order-{number}"}
    if isinstance(data.get("customer"), dict):
        data["customer"] = {**data["customer"], "id": f"customer-{chance.randrange(CUSTOMERS)}"}
    if isinstance(data.get("total"), dict):
        data["total"] = {**data["total"], "amount": chance.randrange(100_000)}
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"event-{number}",
            "source": f"/sliceline/{event_type.split('.')[1]}",
            "type": event_type,
            "subject": data["order"],
            "time": datetime(2026, 11, 27, tzinfo=UTC),
            "partitionkey": data["order"],
            "correlationid": f"story-{number}",
            "data": {**data, "ip": f"10.{chance.randrange(256)}.{chance.randrange(256)}.1"},
        }
    )


def rules(kind: str, count: int) -> Iterator[dict[str, Any]]:
    """Make patterns of a kind, each different from the others."""
    types = [PLACED] if kind != "mixed" else _types()
    makers = [_CONDITIONS[kind]] if kind != "mixed" else list(_CONDITIONS.values())
    for number in range(count):
        event_type, make = types[number % len(types)], makers[number // len(types) % len(makers)]
        source = f"/sliceline/{event_type.split('.')[1]}"
        yield {"source": [source], "type": [event_type], "data": make(number)}


def _types() -> list[str]:
    return [each for folder in sorted(SCHEMAS.iterdir()) if folder.is_dir() for each in schemas_of(folder.name)]


def _customer(number: int) -> str:
    return f"customer-{number * 7919 % CUSTOMERS}"


_CONDITIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "exact": lambda number: {"customer": {"id": [_customer(number)]}},
    "prefix": lambda number: {"order": [{"prefix": f"order-{number}"}]},
    "suffix": lambda number: {"customer": {"id": [{"suffix": f"-{number % CUSTOMERS}"}]}},
    "wildcard": lambda number: {"customer": {"id": [{"wildcard": f"customer-{number % CUSTOMERS}*"}]}},
    "numeric": lambda number: {"total": {"amount": [{"numeric": [">", number * 9, "<", number * 9 + 50]}]}},
    "cidr": lambda number: {"ip": [{"cidr": f"10.{number % 256}.{number // 256 % 256}.0/24"}]},
    "ignore-case": lambda number: {"customer": {"id": [{"equals-ignore-case": _customer(number).upper()}]}},
    "anything-but": lambda number: {
        "customer": {"id": [_customer(number)]},
        "total": {"currency": [{"anything-but": ["EUR", f"X{number}"]}]},
    },
    "arrays": lambda number: {"lines": {"item": ["margherita"], "quantity": [{"numeric": [">", number % 7 + 2]}]}},
}
