"""Reads an AsyncAPI document as the pages need it: events with who says and who reads them, and what follows what."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployment.pages.asyncapi import Document

Way = tuple[str, str]
"""From whom to whom."""


@dataclass
class Event:
    """Is one version of an event."""

    key: str
    message: Mapping[str, Any]
    channels: list[str] = field(default_factory=list)
    producers: list[str] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)
    """Who has it in a view of its own."""
    hearers: list[str] = field(default_factory=list)
    """Who takes it with all else that comes in its topic."""

    @property
    def happening(self) -> str:
        """Its name without the version: `orders.order-confirmed`."""
        return f"{self.message['x-service']}.{self.message['x-event']}"

    @property
    def version(self) -> int:
        return int(self.message["x-version"])

    @property
    def leaving(self) -> Mapping[str, Any] | None:
        """When it goes and what to read instead, where it is on its way out."""
        found: Mapping[str, Any] | None = self.message.get("x-deprecation")
        return found


class Contents:
    """Holds what a document says, by event and by service."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.services: Mapping[str, Mapping[str, Any]] = document["info"]["x-services"]
        self.channels: Mapping[str, Mapping[str, Any]] = document["channels"]
        self.events = {key: Event(key, each) for key, each in document["components"]["messages"].items()}
        self.edges: dict[Way, list[str]] = defaultdict(list)
        """The events that a service reads of another, in views of its own."""
        self.hearing: dict[str, list[str]] = defaultdict(list)
        """Who takes everything, and from which channels."""
        for operation in document["operations"].values():
            self._take(operation)
        for event in self.events.values():
            for reader in event.readers:
                self.edges[event.message["x-service"], reader].append(event.key)

    def _take(self, operation: Mapping[str, Any]) -> None:
        service, channel = operation["x-service"], operation["channel"]["$ref"].rpartition("/")[2]
        if operation["x-everything"]:
            self.hearing[service].append(channel)
        for reference in operation["messages"]:
            event = self.events[reference["$ref"].rpartition("/")[2]]
            if operation["action"] == "send":
                event.channels.append(channel)
                _note(event.producers, service)
            else:
                _note(event.hearers if operation["x-everything"] else event.readers, service)

    def versions(self, happening: str) -> list[Event]:
        """List the versions of an event, the newest first."""
        found = [each for each in self.events.values() if each.happening == happening]
        return sorted(found, key=lambda each: -each.version)

    def of(self, service: str) -> list[Event]:
        """List what a service publishes."""
        return [each for each in self.events.values() if each.message["x-service"] == service]

    def read_by(self, service: str) -> list[Event]:
        """List what a service reads in views of its own."""
        return [each for each in self.events.values() if service in each.readers]

    def following(self, happening: str) -> Sequence[str]:
        """Name what may follow on an event, where a contract says so."""
        return sorted(
            {
                each.happening
                for each in self.events.values()
                if not each.message["x-follows"].get("unsaid")
                and happening in [need["event"] for need in each.message["x-follows"]["events"]]
            }
        )


def _note(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
