"""Defines what a service is made of: one value that puts its parts together."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from fastapi import APIRouter

from backbone.consuming.handlers import Handlers
from backbone.events.acts import ActsRecorded
from backbone.events.payload import Payload
from backbone.http.grouped import GroupedCommand
from backbone.jobs.work import Work
from backbone.rebuilding import Rebuilding
from backbone.settings import Settings
from backbone.storage.gauges import Told

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Service(Generic[S]):
    """Describes a service. Topics, consumer contracts and the catalogue derive from `publishes` and `handlers`."""

    name: str
    settings: type[S]
    router: APIRouter
    publishes: tuple[type[Payload], ...] = ()
    handlers: Handlers = field(default_factory=dict)
    jobs: Mapping[str, Work[S]] = field(default_factory=dict)
    grouped: tuple[GroupedCommand[Any, Any], ...] = ()
    gauges: tuple[Told, ...] = ()
    """What it tells Prometheus of its own tables."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """What its own problems mean, by their titles; the backbone's are in `http/routes/kinds.py`."""
    rebuilds: tuple[Rebuilding, ...] = ()
    """How states of its own follow from events alone, one for each kind of thing."""

    keeps_keys: bool = False
    """Whether it takes in what is a customer's own. Data keys for its log of acts every service keeps."""

    reads_old_events: bool | None = None
    """Whether it reads, when its tables are new, what its topics hold already. None: unless it has jobs."""

    @property
    def skips_old_events(self) -> bool:
        """Whether it begins at the newest event: what has jobs acts outside, or later, and not on what is long past."""
        return bool(self.jobs) if self.reads_old_events is None else not self.reads_old_events

    @property
    def tells_acts(self) -> type[ActsRecorded] | None:
        """The event in which it tells of the acts in its log."""
        return next((each for each in self.publishes if issubclass(each, ActsRecorded)), None)

    @property
    def about(self) -> str:
        """The text with which the service's package says what it does."""
        package = sys.modules.get(f"services.{self.name}")
        return (package and package.__doc__) or f"The {self.name} service."
