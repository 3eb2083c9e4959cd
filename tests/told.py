"""What a decision tells, for tests that look at it."""

from typing import Any

from backbone.decision import Decision
from backbone.events.payload import Payload


def told(decision: Decision[Any]) -> list[Payload]:
    """Return every event of a decision in order, each version by itself."""
    return [
        payload
        for happening in decision.events
        for payload in (happening if isinstance(happening, tuple) else (happening,))
    ]
