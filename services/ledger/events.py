"""Events that the ledger publishes. Those that it reads are all there are, as they came: `consumers.py`."""

from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from backbone.events import acts
from backbone.events.payload import Payload


class Unbalanced(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    missing: int
    twice: int
    candidates: tuple[str, ...]


class BalanceBroken(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.ledger.balance-broken.v1"
    consumer: str
    differences: tuple[Unbalanced, ...]


class BalanceRestored(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.ledger.balance-restored.v1"
    consumer: str


class AcceptedDifference(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    missing: int
    twice: int


class BalanceAccepted(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.ledger.balance-accepted.v1"
    consumer: str
    by: str
    reason: str
    differences: tuple[AcceptedDifference, ...]


class ContractReleased(Payload, frozen=True, kw_only=True):
    """A contract was released in a new form; told to each service that reads its event."""

    TYPE: ClassVar[str] = "sliceline.ledger.contract-released.v1"
    contract: str
    form: int
    release: str
    owner: str | UnsetType = UNSET
    reader: str | UnsetType = UNSET
    reader_owner: str | UnsetType = UNSET


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.ledger.acts-recorded.v1"


PUBLISHES = (BalanceBroken, BalanceRestored, BalanceAccepted, ContractReleased, ActsRecorded)
