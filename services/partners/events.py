"""Events that partners publishes."""

from typing import ClassVar

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload


class EventReceived(Payload, frozen=True, kw_only=True):
    """A partner told us something, signed, sound and new."""

    TYPE: ClassVar[str] = "sliceline.partners.event-received.v1"
    partner: str
    bus: str
    id: str
    body: msgspec.Raw


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.partners.acts-recorded.v1"


PUBLISHES = (EventReceived, ActsRecorded)
