"""The golden samples: what an event of each type looks like."""

import json
from typing import Any

from backbone.events import contracts
from backbone.events.envelope import parse_type


def sample_of(event_type: str) -> dict[str, Any]:
    """Read the data of an event's golden sample."""
    service, event, version = parse_type(event_type)
    file = contracts.SCHEMAS / service / "samples" / f"{event}.v{version}.json"
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found
