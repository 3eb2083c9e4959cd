"""Events that alerts publishes, and its own narrow view of those that it reads."""

from typing import ClassVar, Literal

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload

Kind = Literal["low", "out", "over"]


class StockAlertRaised(Payload, frozen=True, kw_only=True, omit_defaults=True):
    TYPE: ClassVar[str] = "sliceline.alerts.stock-alert-raised.v1"
    sku: str
    kind: Kind
    available: int
    threshold: int
    ceiling: int
    channel: str
    times: int = 1


class StockAlertCleared(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.alerts.stock-alert-cleared.v1"
    sku: str
    kind: Kind
    available: int


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.alerts.acts-recorded.v1"


PUBLISHES = (StockAlertRaised, StockAlertCleared, ActsRecorded)


class Availability(msgspec.Struct, frozen=True):
    available: int


class StockLevelChanged(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.inventory.stock-level-changed.v1"
    sku: str
    after: Availability
    threshold: int
    ceiling: int
    channel: str


class SkuRetired(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.inventory.sku-retired.v1"
    sku: str
