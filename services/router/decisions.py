"""What becomes of a rule, and what a rule makes of an event."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision, Refusal
from backbone.events.attributes import check_names
from backbone.events.payload import Payload
from backbone.patterns.parsing import LARGEST, parse_given
from backbone.patterns.pattern import BadPattern, Pattern
from services.router import shaping
from services.router.events import DeliveryRequested, EventForwarded, RuleChanged, RuleState
from services.router.shaping import BadShape, shaped

LARGEST_INPUT = LARGEST
"""Bytes of JSON of a target's input, as of a pattern: a rule fits into an event twice, as it was and as it is."""
LARGEST_EVENT = 1024 * 1024
"""Bytes of JSON that the data of an event may have."""
MOST_RULES_PASSED = 5
"""Rules that an event may pass one after the other, each putting it on a bus where the next one is."""
MOST_FORWARDED = 100
"""How often an event may be put on buses in all: rules that pass it to each other multiply it."""


class Change(StrEnum):
    """What was done to a rule."""

    CREATED = "created"
    CHANGED = "changed"
    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a rule sends what matches: a webhook endpoint or another bus; and in which shape, if not as it is."""

    webhook: str | None = None
    bus: str | None = None
    input: dict[str, Any] | None = None


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule says."""

    bus: str
    name: str
    pattern: dict[str, Any]
    targets: tuple[Target, ...]
    means_all: bool = False
    enabled: bool = True


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it stands: `version` counts its changes from 1."""

    id: str
    content: Content
    version: int
    changed_at: datetime
    changed_by: str


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Says which buses rules may be of, and which they may put events on, by their names."""

    looks_at: frozenset[str]
    puts_on: frozenset[str]

    def may_look_at(self, bus: str) -> bool:
        """Tell whether a rule may be of this bus."""
        return bus in self.looks_at

    def may_put_on(self, bus: str) -> bool:
        """Tell whether a rule may put events on this bus."""
        return bus in self.puts_on


class BadRule(Refusal):
    """A rule that cannot be. `place` is the field of the rule: `pattern.data.lines[0].numeric`."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(reason)
        self.place = place


class Outdated(Refusal):
    """The rule has changed since whoever changes it now has seen it."""


def check(content: Content, reach: Reach) -> None:
    """Object to a rule that could do nothing, or more than its author means. Raises BadRule."""
    if not reach.may_look_at(content.bus):
        raise BadRule("bus", f"is none that rules may be of: {_listed(reach.looks_at)} (buses.toml)")
    pattern = pattern_of(content.pattern)
    if not content.means_all:
        _check_scope(pattern)
    for number, target in enumerate(content.targets):
        _check_target(target, f"targets.{number}", reach)


def pattern_of(given: object) -> Pattern:
    """Read a pattern that is no larger than a rule's may be, and names what events have. Raises BadRule."""
    try:
        pattern = parse_given(given)
        check_names(pattern)
        return pattern
    except BadPattern as error:
        raise BadRule(_within("pattern", error.place), error.reason) from error


def _check_scope(pattern: Pattern) -> None:
    for name in ("source", "type"):
        if any((name,) not in conjunction for conjunction in pattern.alternatives()):
            reason = f"name the {name}, in every alternative; or say means_all if the rule is for whatever {name}"
            raise BadRule(_within("pattern", name), reason)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "there is none"


def _check_target(target: Target, place: str, reach: Reach) -> None:
    if (target.webhook is None) == (target.bus is None):
        raise BadRule(place, "give exactly one of webhook and bus")
    if target.bus is not None and not reach.may_put_on(target.bus):
        reason = f"is none that rules may put events on: {_listed(reach.puts_on)} (buses.toml)"
        raise BadRule(f"{place}.bus", reason)
    if target.input is not None:
        size = len(msgspec.json.encode(target.input))
        if size > LARGEST_INPUT:
            raise BadRule(f"{place}.input", f"has {size} bytes of JSON; {LARGEST_INPUT} are allowed")
        try:
            shaping.check(target.input)
        except BadShape as error:
            raise BadRule(_within(f"{place}.input", error.place), error.reason) from error


def _within(place: str, inner: str) -> str:
    return f"{place}.{inner}" if inner else place


def create(rule: str, content: Content, reach: Reach, by: str, now: datetime) -> Decision[Rule]:
    """Make a new rule. Raises BadRule."""
    check(content, reach)
    made = Rule(id=rule, content=content, version=1, changed_at=now, changed_by=by)
    return Decision(made, (_told(Change.CREATED, None, made),))


def change(rule: Rule, content: Content, version: int | None, reach: Reach, by: str, now: datetime) -> Decision[Rule]:
    """Give a rule another content; the same again changes and tells nothing. Raises BadRule and Outdated."""
    if version is not None and version != rule.version:
        raise Outdated(f"The rule is at version {rule.version}, not {version}: {rule.changed_by} has changed it.")
    check(content, reach)
    return _changed(rule, content, Change.CHANGED, by, now)


def switch(rule: Rule, enabled: bool, by: str, now: datetime) -> Decision[Rule]:
    """Have a rule work, or rest; switched again it stays as it is."""
    kind = Change.ENABLED if enabled else Change.DISABLED
    return _changed(rule, replace(rule.content, enabled=enabled), kind, by, now)


def _changed(rule: Rule, content: Content, kind: Change, by: str, now: datetime) -> Decision[Rule]:
    if content == rule.content:
        return Decision(rule)
    after = replace(rule, content=content, version=rule.version + 1, changed_at=now, changed_by=by)
    return Decision(after, (_told(kind, rule, after),))


def delete(rule: Rule, by: str, now: datetime) -> Decision[Rule]:
    """Take a rule away; its versions are kept."""
    gone = replace(rule, version=rule.version + 1, changed_at=now, changed_by=by)
    return Decision(gone, (_told(Change.DELETED, rule, gone),))


def _told(kind: Change, before: Rule | None, after: Rule) -> RuleChanged:
    return RuleChanged(
        rule=after.id,
        version=after.version,
        change=kind,
        by=after.changed_by,
        before=_state(before.content) if before else None,
        after=None if kind is Change.DELETED else _state(after.content),
    )


def _state(content: Content) -> RuleState:
    return msgspec.convert(msgspec.to_builtins(content), RuleState)


class Arrival(msgspec.Struct, frozen=True):
    """An event on a bus, as patterns see it: attributes and `data`. `trail` are the rules that have put it there."""

    bus: str
    event: dict[str, Any]
    trail: tuple[str, ...] = ()


class TroubleKind(StrEnum):
    """Why a rule did not do what it says."""

    LOOP = "loop"
    TOO_FAR = "too-far"
    TOO_LARGE = "too-large"
    NO_BUS = "no-bus"


class Trouble(msgspec.Struct, frozen=True):
    """A rule that matched an event and could not do what it says with it."""

    rule: str
    kind: TroubleKind
    event: str
    detail: str


Routed = Decision[tuple[Trouble, ...]]
"""What rules make of an event: what to publish; and, as the state, the troubles that there were."""


def route(arrival: Arrival, match: Callable[[Arrival], Sequence[Rule]], reach: Reach) -> Routed:
    """Send an event to the targets of the rules that match it, and where it is put on a bus, do so there.

    What would go round in a circle is cut.
    """
    waiting = deque([arrival])
    events: list[Payload] = []
    troubles: list[Trouble] = []
    while waiting:
        current = waiting.popleft()
        for rule in match(current):
            sent, found = _passed(current, rule, reach)
            forwarded = [each for each in sent if isinstance(each, EventForwarded)]
            if forwarded and len(forwarded) > MOST_FORWARDED - _forwarded_in(events):
                sent, found = [], [_trouble(current, rule, TroubleKind.TOO_FAR, _TOO_OFTEN)]
                forwarded = []
            waiting += [Arrival(each.bus, each.event, each.trail) for each in forwarded]
            events += sent
            troubles += found
    return Decision(tuple(troubles), tuple(events))


_TOO_OFTEN = f"The event was put on buses {MOST_FORWARDED} times already, which is the most."


def _forwarded_in(events: Sequence[Payload]) -> int:
    return sum(isinstance(each, EventForwarded) for each in events)


def _passed(arrival: Arrival, rule: Rule, reach: Reach) -> tuple[list[Payload], list[Trouble]]:
    """Make what a rule sends of an event, as far as it can."""
    if trouble := _circle(arrival, rule):
        return [], [trouble]
    sent: list[Payload] = []
    troubles: list[Trouble] = []
    for number, target in enumerate(rule.content.targets):
        if target.bus is not None and not reach.may_put_on(target.bus):
            detail = f"buses.toml has no bus {target.bus} any more on which rules may put events."
            troubles.append(_trouble(arrival, rule, TroubleKind.NO_BUS, detail))
            continue
        payload = _sent(arrival, rule, target)
        size = len(msgspec.json.encode(payload))
        if size <= LARGEST_EVENT:
            sent.append(payload)
        else:
            detail = f"What target {number} is to get has {size} bytes; {LARGEST_EVENT} are allowed: pick fields."
            troubles.append(_trouble(arrival, rule, TroubleKind.TOO_LARGE, detail))
    return sent, troubles


def _circle(arrival: Arrival, rule: Rule) -> Trouble | None:
    way = " > ".join((*arrival.trail, rule.id))
    if rule.id in arrival.trail:
        return _trouble(arrival, rule, TroubleKind.LOOP, f"The rule had passed this event on before: {way}.")
    if len(arrival.trail) >= MOST_RULES_PASSED and any(target.bus for target in rule.content.targets):
        detail = f"The event has passed {MOST_RULES_PASSED} rules already, which is the most: {way}."
        return _trouble(arrival, rule, TroubleKind.TOO_FAR, detail)
    return None


def _trouble(arrival: Arrival, rule: Rule, kind: TroubleKind, detail: str) -> Trouble:
    return Trouble(rule.id, kind, str(arrival.event.get("id", "")), detail)


def _sent(arrival: Arrival, rule: Rule, target: Target) -> Payload:
    if target.bus is None:
        return DeliveryRequested(
            endpoint=target.webhook or "",
            rule=rule.id,
            version=rule.version,
            bus=arrival.bus,
            event={name: value for name, value in arrival.event.items() if name != "data"},
            input=shaped(target.input, arrival.event),
        )
    forwarded: Mapping[str, Any] = arrival.event
    if target.input is not None:
        forwarded = {**arrival.event, "data": shaped(target.input, arrival.event)}
    return EventForwarded(bus=target.bus, trail=(*arrival.trail, rule.id), event=dict(forwarded))
