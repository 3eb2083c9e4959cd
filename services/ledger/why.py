"""Decides why something has not happened: follows the wiring to the first broken link."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from urllib.parse import quote

from backbone.errors import SlicelineError
from services.ledger import links
from services.ledger.links import Answer, Broken, Facts, Happened, Link, Seen
from services.ledger.standing import Job, Standing
from services.ledger.wiring import ANY_JOB, Need, Wire, short

AT_ONCE = timedelta(seconds=5)
"""How long an event may lie in an outbox before that is why."""
LEDGER = "ledger"


class Unasked(SlicelineError):
    """It takes what a service says that has not been asked yet."""

    def __init__(self, service: str) -> None:
        super().__init__(f"{service} has not been asked where it stands.")
        self.service = service


def why(facts: Facts, target: str) -> Answer:
    """Answer for an event or a service, by its name in the wiring. Raises Unasked."""
    return _Way(facts).to(facts.wiring.meant(target, {event.name for event in facts.events}))


class _Way:
    """Follows the wiring back from what is expected, and notes the links that hold."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._wiring = facts.wiring
        self._chain: list[Link] = []
        self._asked: set[str] = set()

    def to(self, target: str) -> Answer:
        """Go back from an event or a service."""
        end = self._to_event(target) if target in self._wiring.wires else self._to_service(target)
        if isinstance(end, Happened):
            return Answer(end, None, tuple(self._chain))
        return Answer(None, end, tuple(self._chain))

    def _to_event(self, name: str) -> Happened | Broken:
        wire = self._wiring.wires[name]
        self._asked.add(name)
        results = self._named(name)
        if results and wire.mode != "each":
            return links.happened(results[0])
        if end := next((each for other in wire.unless for each in self._named(other)), None):
            return links.ended(name, end)
        needs = [need for need in wire.needs if need.is_of(event.whole for event in self._facts.events)]
        if missing := self._missing(wire, needs):
            return self._to_missing(name, missing, may_give_way=wire.mode != "all")
        return self._from(name, wire, self._owed(wire, needs, results), results)

    def _missing(self, wire: Wire, needs: Sequence[Need]) -> list[Need]:
        missing = [need for need in needs if not self._named(need.event)]
        return missing if wire.mode == "all" or len(missing) == len(needs) else []

    def _owed(self, wire: Wire, needs: Sequence[Need], results: Sequence[Seen]) -> list[Seen]:
        """Return the events on which it should follow and has not, one version of each, the oldest first."""
        triggers = sorted((each for need in needs for each in self._named(need.event)), key=lambda each: each.time)
        if wire.mode == "each":
            answered = {each.causationid for each in results}
            answered = {each.occurrenceid for each in triggers if each.id in answered}
            triggers = [each for each in triggers if each.occurrenceid not in answered]
        return list({each.occurrenceid: each for each in triggers}.values())

    def _to_missing(self, name: str, missing: Sequence[Need], *, may_give_way: bool) -> Broken:
        """Go on to the first that is missing; where any would do, to one that comes in the ordinary way.

        `may_give_way`: one that does not come any more gives way to another that still can.
        """
        events = [need.event for need in missing if need.event not in self._asked]
        ordinary = [event for event in events if _is_ordinary(self._wiring.wires[event])]
        if not events:
            return Broken("never", self._wiring.publisher(name), f"Nothing that {name} follows on has happened.")
        ways = (self._by_way_of(name, event) for event in ordinary or events)
        first = next(ways)
        others = ways if may_give_way and first[1].kind == "ended" else iter(())
        self._chain, end = next((way for way in others if way[1].kind != "ended"), first)
        return end

    def _by_way_of(self, name: str, wanted: str) -> tuple[list[Link], Broken]:
        """Try the way by one event that is missing; return the links that hold there, and the broken one."""
        way = _Way(self._facts)
        way._chain = [*self._chain, Link(f"{name} follows on {wanted}, which has not happened.")]
        way._asked = set(self._asked)
        end = way._to_event(wanted)
        broken = end if isinstance(end, Broken) else links.unknown(self._wiring.publisher(wanted), wanted, [])
        return way._chain, broken

    def _to_service(self, service: str) -> Happened | Broken:
        if not self._standing(service).answers:
            return links.silent(service)
        heard = [each for each in self._facts.events if self._listens(service, each)]
        if not heard:
            return self._to_what_it_reads(service)
        if broken := self._handling(service, heard):
            return broken
        pressing = [job for job in self._jobs(service, heard, ANY_JOB) if job.error or job.due <= self._facts.now]
        if pressing:
            return links.undone(service, pressing[0], self._facts.now, self._standing(service))
        counted = "the one event" if len(heard) == 1 else f"all {len(heard)} events"
        return Happened(heard[-1].time, f"{service} has handled {counted} that it listens to.")

    def _to_what_it_reads(self, service: str) -> Broken:
        reads = sorted(self._wiring.reads.get(service, ()))
        if not reads:
            return Broken("not-listening", service, f"{service} listens to no event of an order.")
        return self._to_missing(service, [Need(each) for each in reads], may_give_way=True)

    def _from(self, name: str, wire: Wire, owed: Sequence[Seen], results: Sequence[Seen]) -> Happened | Broken:
        """Look for what keeps the publisher from going on after the events that it needs."""
        if results and not owed:
            return links.happened(results[-1])
        self._chain += [Link(f"{each.name} happened.", each.time) for each in owed]
        service = self._wiring.publisher(name)
        broken = (
            self._handling(service, owed)
            or self._publishing(service, name)
            or self._working(service, owed, wire.job)
            or self._pressing(name, wire)
        )
        return broken or (links.happened(results[-1]) if results else self._nothing(name, owed))

    def _handling(self, service: str, events: Sequence[Seen]) -> Broken | None:
        for event in events:
            if event.publisher == service:
                continue
            if broken := self._handling_one(service, event):
                return broken
            self._chain.append(Link(f"{service} has handled {event.name}."))
        return None

    def _handling_one(self, service: str, event: Seen) -> Broken | None:
        standing = self._standing(service)
        if not standing.answers:
            return links.silent(service)
        if not self._listens(service, event):
            return Broken("not-listening", service, f"{service} does not listen to {event.name}.")
        place = (event.topic, event.partition, event.offset)
        if gone := standing.discarded_of(*place):
            return links.discarded(service, event, gone)
        letter = standing.letter_of(*place)
        is_read = _has_read(standing, event)
        if (letter or not is_read) and (pause := standing.pause_of("key", event.key)):
            return links.paused(service, pause)
        if letter:
            own = (each for each in standing.letters if (each.topic, each.key) == (letter.topic, letter.key))
            first = next((each for each in own if each.error), letter)
            return links.parked(service, event, letter, first)
        if is_read:
            return None
        if pause := standing.pause_of("consumer", service):
            return links.paused(service, pause)
        return links.behind(service, event, (standing.places or {}).get((event.topic, event.partition), 0))

    def _publishing(self, service: str, name: str) -> Broken | None:
        standing = self._standing(service)
        if not standing.answers:
            return links.silent(service)
        if any(short(each.type) == name for each in standing.refused):
            return links.refused(service, name, standing)
        since = standing.outbox.since
        return links.unpublished(service, standing) if since and self._facts.now - since > AT_ONCE else None

    def _working(self, service: str, triggers: Sequence[Seen], kind: str | None) -> Broken | None:
        jobs = self._jobs(service, triggers, kind)
        return links.undone(service, jobs[0], self._facts.now, self._standing(service)) if jobs else None

    def _jobs(self, service: str, triggers: Sequence[Seen], kind: str | None) -> list[Job]:
        """Return the jobs of these events that are not done, those that need somebody first."""
        keys = keys_of(self._facts.order, triggers)
        jobs = [job for job in self._standing(service).jobs if job.key in keys and kind in (job.kind, ANY_JOB)]
        return sorted(jobs, key=lambda job: (job.parked_at is None, job.error is None, job.due))

    def _pressing(self, name: str, wire: Wire) -> Broken | None:
        if wire.button is None or wire.mode != "all":
            return None
        service = self._wiring.publisher(name)
        path = wire.button.replace("{order}", quote(self._facts.order, safe=""))
        return links.unpressed(service, name, self._standing(service).address, path)

    def _nothing(self, name: str, triggers: Sequence[Seen]) -> Broken:
        """Say what else came of it, where nothing is in the way."""
        service = self._wiring.publisher(name)
        causes = {each.id for each in triggers}
        others = [each for each in self._facts.events if each.causationid in causes and each.publisher == service]
        archive = self._standing(LEDGER)
        pause = archive.pause_of("consumer", LEDGER)
        if pause or any(each.key == self._facts.order for each in archive.letters):
            return links.unarchived(name, pause)
        if others:
            return links.otherwise(service, name, others)
        topics = {each.topic for each in triggers}
        gap = next((each for each in self._standing(service).log_breaks if each.topic in topics), None)
        return links.skipped(service, gap) if gap else links.unknown(service, name, triggers)

    def _named(self, name: str) -> list[Seen]:
        return [each for each in self._facts.events if each.name == name]

    def _listens(self, service: str, event: Seen) -> bool:
        """Tell whether a service reads an event: by its name, or as whatever comes in its topic."""
        reads = self._wiring.reads.get(service, frozenset())
        if event.name in reads:
            return True
        places = self._standing(service).places or {}
        is_choosy = any(self._wiring.publisher(name) == event.publisher for name in reads)
        return not is_choosy and any(topic == event.topic for topic, _ in places)

    def _standing(self, service: str) -> Standing:
        if service not in self._facts.standings:
            raise Unasked(service)
        return self._facts.standings[service]


def keys_of(order: str, events: Collection[Seen]) -> set[str]:
    """Return the keys that a job of an order may have: the order's, or those of its events."""
    return {order, *(key for each in events for key in (each.key, each.id, each.occurrenceid))}


def _is_ordinary(wire: Wire) -> bool:
    """Tell whether an event comes of others by itself and in the usual way: not by a command, not in place of them."""
    return wire.mode == "all" and bool(wire.needs)


def _has_read(standing: Standing, event: Seen) -> bool:
    """Tell whether a service has read an event; where it cannot say how far it is, nothing speaks against it."""
    if standing.places is None:
        return True
    return standing.places.get((event.topic, event.partition), 0) > event.offset
