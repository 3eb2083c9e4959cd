"""Holds what an endpoint is, what it is owed, and what came of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

SLOWEST = 1 / 3600
"""Calls a second that an endpoint's rate is at the least: one an hour."""


class Status(StrEnum):
    """Names where an endpoint stands."""

    UNPROVEN = "unproven"  # has not answered a ping with its challenge yet
    ACTIVE = "active"
    DISABLED = "disabled"


class Standing(StrEnum):
    """Names where a delivery stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    PARKED = "parked"  # was tried for as long as is allowed
    DISCARDED = "discarded"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Describes where events go, which, and how; and how it stands."""

    id: str
    url: str
    description: str | None = None
    pattern: Mapping[str, Any] | None = None
    """Which events it gets; None: only what rules send it."""
    ordered: bool = False
    concurrency: int = 4
    rate: float | None = None
    allowed_failures: int = 100
    status: Status = Status.UNPROVEN
    proven: bool = False
    """Whether it was active before."""
    reason: str | None = None
    secret: str
    old_secret: str | None = None
    old_secret_until: datetime | None = None
    failures: int = 0
    planned_at: datetime | None = None
    rests_until: datetime | None = None
    counts_from: datetime | None = None
    pinged_at: datetime | None = None
    ping_result: str | None = None
    created_at: datetime

    @property
    def is_owed_events(self) -> bool:
        """Tell whether events are kept for it; while a new address proves itself they wait."""
        return self.status is Status.ACTIVE or (self.status is Status.UNPROVEN and self.proven)

    def valid_secrets(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets that sign now, the newest first."""
        if self.old_secret and self.old_secret_until and now < self.old_secret_until:
            return self.secret, self.old_secret
        return (self.secret,)


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Holds an event that an endpoint is owed, as it is sent."""

    position: int
    key: str
    event_id: str
    body: str
    is_event: bool = True
    """Whether it is sent as the event that it is, not in a shape that a rule has given it."""
    attempts: int
    first_attempt_at: datetime | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """Holds what came of sending one event once. Without a `status` nobody answered, and `said` tells why."""

    delivery: Delivery
    at: datetime
    took_ms: int
    status: int | None
    said: str
    pause: timedelta | None = None
    jitter: float = 0.0

    @property
    def got_through(self) -> bool:
        """Tell whether the receiver has taken the event."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Tell whether the receiver wants nothing any more."""
        return self.status == 410

    @property
    def failure(self) -> str:
        """What went wrong, in a line."""
        return f"It answered {self.status}." if self.status is not None else self.said


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """Holds how a delivery stands after an attempt."""

    position: int
    status: Standing
    due: datetime
    attempts: int
    first_attempt_at: datetime


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Holds what came of one run of an endpoint's job: attempts in the order in which they ended."""

    url: str | None = None
    """Where it sent, which may have been changed meanwhile; None where there was no endpoint any more."""
    attempts: tuple[Attempt, ...] = ()
    free_at: datetime | None = None
    """When the endpoint's rate allows the next."""


class Pinged(msgspec.Struct, frozen=True, kw_only=True):
    """Holds what came of a ping: whether the challenge came back, and what was said."""

    echoed: bool
    said: str
    jitter: float = 0.0


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """Describes what an endpoint is to get again: what was heard from `since` to `until`, after a position."""

    endpoint: str
    since: datetime
    until: datetime
    even_delivered: bool
    after: int = 0
