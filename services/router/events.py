"""What the router says, and what it reads: every event of the shop as it came, and what rules put on other buses."""

from typing import Any, ClassVar

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload


class RuleState(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it stood."""

    bus: str
    name: str
    pattern: dict[str, Any]
    targets: tuple[dict[str, Any], ...]
    means_all: bool
    enabled: bool


class RuleChanged(Payload, frozen=True, kw_only=True):
    """A rule was created, changed, switched or deleted. What is new has no `before`, what is gone no `after`."""

    TYPE: ClassVar[str] = "sliceline.router.rule-changed.v1"
    rule: str
    version: int
    change: str
    by: str
    before: RuleState | None = None
    after: RuleState | None = None


class EventForwarded(Payload, frozen=True, kw_only=True):
    """A rule put an event on another bus. `trail` are the rules that it has passed, so that none passes it on twice."""

    TYPE: ClassVar[str] = "sliceline.router.event-forwarded.v1"
    bus: str
    trail: tuple[str, ...]
    event: dict[str, Any]


class DeliveryRequested(Payload, frozen=True, kw_only=True):
    """A rule wants `input` delivered to a webhook endpoint, in just the shape that it has here."""

    TYPE: ClassVar[str] = "sliceline.router.delivery-requested.v1"
    endpoint: str
    rule: str
    version: int
    bus: str
    event: dict[str, Any]
    input: Any


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.router.acts-recorded.v1"


PUBLISHES = (RuleChanged, EventForwarded, DeliveryRequested, ActsRecorded)
