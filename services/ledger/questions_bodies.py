"""What the ledger answers when it is asked where orders stand, why, and how a thing stood."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from backbone.storage import backlog


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class LinkView(_View):
    """A step that holds."""

    text: str
    at: datetime | None


class BrokenView(_View):
    """The first link that does not hold: what is wrong there, since when, and the command that mends it."""

    kind: str
    service: str
    text: str
    command: str | None
    since: datetime | None


class HappenedView(_View):
    """When what was expected happened, and as which event."""

    at: datetime
    text: str
    event: str | None


class WhyView(_View):
    """Says that it has happened, or where the way to it breaks; `chain` are the links that hold, from the end back."""

    order: str
    expected: str
    happened: HappenedView | None
    broken: BrokenView | None
    chain: list[LinkView]


class OldestView(_View):
    """The order that was placed first, and when it got on last."""

    order: str
    placed_at: datetime
    progressed_at: datetime


class LevelView(_View):
    """How many orders stand in a status."""

    status: str
    orders: int
    oldest: OldestView | None


class StuckView(_View):
    """An order without progress since a moment: why, and the next step to take."""

    order: str
    status: str
    since: datetime
    broken: BrokenView | None


class FunnelView(_View):
    """How many orders came since a moment and where they stand; `stuck` are those stuck for longest.

    It was counted at `at`, so many seconds ago.
    """

    at: datetime
    age_seconds: float
    since: datetime
    came: int
    statuses: list[LevelView]
    stuck_orders: int
    stuck: list[StuckView]


class SumsView(_View):
    """Sums all services up; `needs` counts sentences about what does not go on without a person."""

    parked: int
    keys: int
    parked_since: datetime | None
    due: int
    due_since: datetime | None
    failing: int
    given_up: int
    given_up_since: datetime | None
    unpublished: int
    refused: int
    pauses: int
    needs: int


class BacklogView(_View):
    """What waits in one service, as it says itself."""

    service: str
    at: datetime
    outbox: backlog.Outbox
    parked: backlog.Parked
    jobs: list[backlog.Jobs]
    log_breaks: list[backlog.LogBreak]
    pauses: list[backlog.Pause]
    needs: list[str]


class BacklogsView(_View):
    """What waits everywhere; it was asked at `at`, so many seconds ago, and `silent` services did not answer."""

    at: datetime
    age_seconds: float
    silent: list[str]
    sums: SumsView
    services: list[BacklogView]


class UnfitView(_View):
    """An event that the state before it does not fit."""

    id: str
    type: str
    why: str


class ServiceStateView(_View):
    """How the thing stood in one service; where `rebuilt` is false, `why` says why it cannot tell.

    `unheard` are events that had happened and that the service had not dealt with; `lacks` is what events do not tell.
    """

    service: str
    rebuilt: bool
    why: str | None = None
    state: Any = None
    since: datetime | None = None
    unheard: list[str] = []
    unfit: list[UnfitView] = []
    lacks: str = ""


class StateView(_View):
    """How a thing stood at a moment, in every service that can tell; `earliest` is the first event looked at."""

    of: str
    key: str
    at: datetime
    earliest: datetime
    services: list[ServiceStateView]
