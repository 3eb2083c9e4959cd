"""Finds who reads which version of an event: who declares it, whose running processes do, and whom Kafka knows of."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client.parser import text_string_to_metric_families

from backbone.events import contracts
from backbone.events.contracts import owners, schemas_of
from backbone.events.envelope import parse_type, topic_of
from backbone.values.brokers import Brokers
from deployment.asking import NOT_ASKED, Asking

READ = "sliceline_read_events"
"""The counter in which a process shows what it listens to, by `consumer` and `type`."""


@dataclass(frozen=True)
class Seen:
    """Holds what running processes count.

    `asked` are the consumers that answered, `silent` those that should run and did not, `read` says for each type who
    listens to it, with how many events of it since its process started. `groups` are those that Kafka knows of, by
    the topic that they read; None where there was no Kafka to ask. One that was not asked may read any type there.
    `patterns` are the rules and endpoints at work, `unasked` the services whose rules or endpoints nobody could list.
    """

    asked: frozenset[str] = frozenset()
    silent: tuple[str, ...] = ()
    read: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    groups: Mapping[str, Collection[str]] | None = field(default_factory=dict)
    patterns: Collection[Asking] = ()
    unasked: Collection[str] = ()

    def readers_of(self, event_type: str) -> Mapping[str, int]:
        return self.read.get(event_type, {})

    def others_at(self, event_type: str) -> list[str]:
        """Name the groups that read the type's topic, in which version nobody can tell."""
        return sorted(set((self.groups or {}).get(topic_of(event_type), ())) - self.asked)

    def asking_for(self, event_type: str) -> list[Asking]:
        """List the rules and endpoints whose pattern names this version."""
        return [each for each in self.patterns if each.asks_for(event_type)]


def types_named(word: str) -> list[str]:
    """Return the types that a word means: `order-confirmed`, with its service before it, its version after it."""
    wanted = word.removeprefix("sliceline.")
    known = [event_type for owner in owners() for event_type in schemas_of(owner)]
    return [event_type for event_type in known if wanted in _names_of(event_type)]


def _names_of(event_type: str) -> set[str]:
    service, event, version = parse_type(event_type)
    return {event, f"{service}.{event}", f"{event}.v{version}", f"{service}.{event}.v{version}"}


def declared(event_type: str) -> list[str]:
    """Name the services that say in schemas/consumers that they read a type."""
    return list(contracts.views_of(event_type))


def counted(metrics: str) -> dict[str, dict[str, int]]:
    """Read from a process's metrics what it listens to: by type, the consumer and how many it has read."""
    found: dict[str, dict[str, int]] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples if family.name == READ else ():
            if sample.name == f"{READ}_total":
                found.setdefault(sample.labels["type"], {})[sample.labels["consumer"]] = int(sample.value)
    return found


def united(answers: Collection[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Add up what several processes count."""
    found: dict[str, dict[str, int]] = {}
    for answer in answers:
        for event_type, readers in answer.items():
            for consumer, count in readers.items():
                of_type = found.setdefault(event_type, {})
                of_type[consumer] = of_type.get(consumer, 0) + count
    return found


async def groups_at(kafka: Brokers) -> dict[str, set[str]]:
    """Return for each topic the groups that have a place in it. Raises KafkaError."""
    admin = AIOKafkaAdminClient(**kafka.client(), client_id="sliceline-readers", request_timeout_ms=5_000)
    await admin.start()
    try:
        found: dict[str, set[str]] = {}
        for group, _ in await admin.list_consumer_groups():
            for place in await admin.list_consumer_group_offsets(group):
                found.setdefault(place.topic, set()).add(group)
        return found
    finally:
        await admin.close()


def why_not(event_type: str, seen: Seen | None, today: date) -> Iterator[str]:
    """Say what is against retiring a type, a sentence for each reason; `seen` is None where nobody was to be asked."""
    if since := contracts.retired(event_type):
        yield f"It was retired on {since}."
        return
    yield from _too_early(event_type, today)
    if readers := declared(event_type):
        yield f"Declared by {_listed(readers)}, in schemas/consumers."
    if seen is None:
        yield "No shop runs here, so nobody can be seen reading it. Start one, or say --at ADDRESS."
        return
    for reader, count in sorted(seen.readers_of(event_type).items()):
        yield f"{reader} reads it: {count} since its process started."
    yield from (f"The {each.whole_name} asks for it." for each in seen.asking_for(event_type))
    yield from (NOT_ASKED[service] for service in seen.unasked)
    if seen.silent:
        yield f"{_listed(seen.silent)} did not answer, and may read it."
    if seen.groups is None:
        yield "Kafka was not asked who else reads its topic: start a shop, or say where it is in SLICELINE_KAFKA."
    if others := seen.others_at(event_type):
        yield (
            f"At Kafka {_listed(others)} read {topic_of(event_type)}, in which version is not known. "
            "Say --at ADDRESS of each that runs, and delete the groups of those that are gone."
        )


def _too_early(event_type: str, today: date) -> Iterator[str]:
    leaving = contracts.leaving(event_type)
    if leaving is None:
        yield "It is not on its way out: say so first in its schema (deprecated, x-deprecation)."
    elif today < date.fromisoformat(leaving.sunset):
        yield f"It was promised until {leaving.sunset}."


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)
