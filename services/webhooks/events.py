"""Events that webhooks publishes, and what it reads beside every event as it came: what rules want sent."""

from typing import ClassVar

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload


class EndpointFailing(Payload, frozen=True, kw_only=True):
    """An endpoint has used up `percent` of the failures in a row that it is allowed."""

    TYPE: ClassVar[str] = "sliceline.webhooks.endpoint-failing.v1"
    endpoint: str
    percent: int
    failures: int
    allowed_failures: int
    reason: str


class EndpointDisabled(Payload, frozen=True, kw_only=True):
    """An endpoint gets nothing any more, for `reason`, until somebody enables it."""

    TYPE: ClassVar[str] = "sliceline.webhooks.endpoint-disabled.v1"
    endpoint: str
    reason: str


class DeliveryRequested(Payload, frozen=True, kw_only=True):
    """A rule wants `input` sent to an endpoint, just as it is."""

    TYPE: ClassVar[str] = "sliceline.router.delivery-requested.v1"
    endpoint: str
    input: msgspec.Raw


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.webhooks.acts-recorded.v1"


PUBLISHES = (EndpointFailing, EndpointDisabled, ActsRecorded)
