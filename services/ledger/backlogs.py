"""Gathers what waits in every service: events parked and held behind them, jobs due and given up, and pauses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from backbone.context import Context
from backbone.storage.backlog import Backlog
from services.ledger.asking import services_of
from services.ledger.remembered import Remembered
from services.ledger.settings import Settings


@dataclass(frozen=True)
class Waiting(Backlog):
    """Holds what a service says that waits there; `needs` are sentences about what does not go on without a person."""

    needs: list[str] = field(default_factory=list)


class Sums(msgspec.Struct, frozen=True):
    """Sums all services up. A moment is that of the first of its kind, None where there is none."""

    parked: int
    """Events that could not be handled or wait behind one of their key that could not."""
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


class Backlogs(msgspec.Struct, frozen=True):
    """Holds what waits in each service by its name, and who did not answer."""

    at: datetime
    services: Mapping[str, Waiting]
    silent: tuple[str, ...]

    @property
    def sums(self) -> Sums:
        """Sum up what all that answered have."""
        every = list(self.services.values())
        jobs = [each for one in every for each in one.jobs]
        return Sums(
            parked=sum(each.parked.events for each in every),
            keys=sum(each.parked.keys for each in every),
            parked_since=_first(each.parked.since for each in every),
            due=sum(each.due for each in jobs),
            due_since=_first(each.due_since for each in jobs),
            failing=sum(each.failing for each in jobs),
            given_up=sum(each.given_up for each in jobs),
            given_up_since=_first(each.given_up_since for each in jobs),
            unpublished=sum(each.outbox.waiting for each in every),
            refused=sum(each.outbox.refused for each in every),
            pauses=sum(len(each.pauses) for each in every),
            needs=sum(len(each.needs) for each in every),
        )


async def look(context: Context[Settings]) -> Backlogs:
    """Ask all services what waits there."""
    answers = await context.client(services_of).get_each("/backlog")
    return gathered(answers, context.database.now())


def last_backlogs(context: Context[Settings]) -> Remembered[Backlogs]:
    """Make what remembers them: `context.client(last_backlogs)` is a process's only one."""
    return Remembered(lambda: look(context))


def gathered(answers: Mapping[str, Any | None], at: datetime) -> Backlogs:
    """Read what services answer; one that answers with something else than it should is silent."""
    told = {name: _read(answer) for name, answer in answers.items()}
    known = {name: each for name, each in told.items() if each is not None}
    return Backlogs(at, known, tuple(sorted(told.keys() - known.keys())))


def _read(answer: Any | None) -> Waiting | None:
    try:
        return msgspec.convert(answer, Waiting)
    except msgspec.ValidationError:
        return None


def _first(moments: Iterable[datetime | None]) -> datetime | None:
    return min(filter(None, moments), default=None)
