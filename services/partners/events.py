"""Events that partners publishes."""

from typing import ClassVar

import msgspec

from backbone.events.payload import Payload


class EventReceived(Payload, frozen=True, kw_only=True):
    """A partner told us something, signed, sound and new."""

    TYPE: ClassVar[str] = "sliceline.partners.event-received.v1"
    partner: str
    bus: str
    id: str
    body: msgspec.Raw


PUBLISHES = (EventReceived,)
