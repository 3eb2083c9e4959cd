"""What must hold beyond the books: of every event from its outbox to its effects, whatever was done to the shop.

Each check is a function of what was found, so that it can be asked of a single service as well.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from backbone.events.envelope import Envelope, name_without_version, parse_type
from tests.faults.taps import Effect, Letter, Written


def published_once_written(
    written: Iterable[Written], topics: Sequence[tuple[str, Sequence[Envelope]]], spoilt: Collection[str] = ()
) -> Iterator[str]:
    """Every event of an outbox is on its topic, and nothing else is."""
    said = {(envelope.id, topic): envelope for topic, envelopes in topics for envelope in envelopes}
    told = {(each.id, each.topic): each for each in written}
    for lost in told.keys() - said.keys():
        if told[lost].key not in spoilt:
            yield f"event {lost[0]} of {told[lost].key} was written for {lost[1]} and is not there"
    for stray in said.keys() - told.keys():
        if said[stray].partitionkey not in spoilt:
            yield f"event {stray[0]} of {said[stray].partitionkey} is on {stray[1]}, and no outbox had it"


def handled_once(effects: Iterable[Effect]) -> Iterator[str]:
    """A consumer takes an occurrence's effect once, in whichever version and however often it comes."""
    counted = Counter((each.consumer, each.source, each.name, each.occurrence) for each in effects)
    for (consumer, _, name, occurrence), count in counted.items():
        if count > 1:
            yield f"{consumer} handled {name} {occurrence} {count} times"


def handled_in_order(effects: Iterable[Effect], spoilt: Collection[str] = ()) -> Iterator[str]:
    """A consumer handles the events of a key, as each source tells them, in their order."""
    last: dict[tuple[str, str, str], int] = {}
    for each in effects:
        place = each.consumer, each.source, each.key
        if each.sequence <= last.get(place, 0) and each.key not in spoilt:
            yield f"{each.consumer} handled {each.name} {each.key} {each.sequence} after {last[place]}"
        last[place] = max(each.sequence, last.get(place, 0))


def letters_hold_their_keys(letters: Iterable[Letter], effects: Sequence[Effect]) -> Iterator[str]:
    """A key is parked with its letter, and nothing of it is handled before that is."""
    parked: dict[tuple[str, str], datetime] = {}
    for letter in letters:
        if not letter.holds_its_key:
            yield f"{letter.consumer} parked an event of {letter.key} without its key"
        parked.setdefault((letter.consumer, letter.key), letter.parked_at)
    for effect in effects:
        since = parked.get((effect.consumer, effect.key))
        if since is not None and effect.at > since:
            yield f"{effect.consumer} handled {effect.name} of {effect.key} past one that is parked"


def handled_all(
    consumer: str,
    names: Collection[str],
    topics: Sequence[tuple[str, Sequence[Envelope]]],
    effects: Iterable[Effect],
    spoilt: Collection[str] = (),
) -> Iterator[str]:
    """What a consumer listens to and has read past it has handled, but for the keys that were spoilt."""
    handled = {(each.name, each.occurrence) for each in effects if each.consumer == consumer}
    said = {
        (name_without_version(each.type), each.occurrenceid): each
        for _, envelopes in topics
        for each in envelopes
        if name_without_version(each.type) in names and each.partitionkey not in spoilt
    }
    for name, occurrence in said.keys() - handled:
        yield f"{consumer} has passed over {name} {occurrence} of {said[name, occurrence].partitionkey}"


def versions_agree(topics: Sequence[tuple[str, Sequence[Envelope]]], spoilt: Collection[str] = ()) -> Iterator[str]:
    """An occurrence is told in all versions of its name that the source has told any of in this run, each once."""
    told: dict[tuple[str, str], dict[str, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
    seen: set[str] = set()
    for _, envelopes in topics:
        for each in envelopes:
            if each.id not in seen and each.partitionkey not in spoilt:
                seen.add(each.id)
                told[each.source, name_without_version(each.type)][each.occurrenceid][
                    parse_type(each.type).version
                ] += 1
    for (_, name), occurrences in told.items():
        versions = {version for counted in occurrences.values() for version in counted}
        for occurrence, counted in occurrences.items():
            if name not in OPEN and counted != Counter(versions):
                yield f"{name} {occurrence} was told in versions {dict(counted)}, of {sorted(versions)} each is due"


def archived_once(
    archived: Iterable[tuple[str, str]],
    topics: Sequence[tuple[str, Sequence[Envelope]]],
    spoilt: Collection[str] = (),
) -> Iterator[str]:
    """The archive holds each event of the topics once, by source and id."""
    counted = Counter(archived)
    for source, id in {(e.source, e.id) for _, es in topics for e in es if e.partitionkey not in spoilt}:  # noqa: A001
        if counted[source, id] != 1:
            yield f"the archive holds the event {id} of {source} {counted[source, id]} times"


FATES = ("applied", "ignored", "repeated", "parked", "held", "discarded")


def counted_once(handled: Mapping[str, Any]) -> Iterator[str]:
    """A consumer has counted each record that it has passed once, whatever became of it: its balance sheet balances."""
    counted = Counter[tuple[str, int]]()
    for count in handled["counts"]:
        counted[count["topic"], count["partition"]] += sum(count[fate] for fate in FATES)
    for place in handled["places"]:
        where = place["topic"], place["partition"]
        passed = max(0, place["next_offset"] - (place["since_offset"] or 0))
        if counted[where] != passed:
            yield f"{handled['consumer']} has passed {passed} records of {where} and counted {counted[where]}"


OPEN = ("sliceline.notifications.notification-sent",)
"""Names of which the latest version alone tells of what is new."""


def repetitions(topics: Sequence[tuple[str, Sequence[Envelope]]]) -> int:
    """How many records repeat an event that its topic had before."""
    return sum(len(envelopes) - len({each.id for each in envelopes}) for _, envelopes in topics)
