"""Says why a rule has passed no event of an order on, or why a webhook endpoint got none: which field did not match.

`rule:NAME` and `endpoint:NAME` are what is expected then. The rule, or the endpoint, is asked for at the service whose
it is; its pattern is held against the order's events here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from backbone.events import buses
from backbone.patterns.parsing import parse
from backbone.patterns.reasons import Reason, why_not
from services.ledger.links import Answer, Broken, Happened, Link, Seen
from services.ledger.wiring import NotKnown

ROUTER, WEBHOOKS = "router", "webhooks"
RULE, ENDPOINT = "rule", "endpoint"
NOTHING_CAME = "It has handled what matches, and nothing came of it that the archive has by now."
_FORWARDED = "router.event-forwarded"


class Rule(msgspec.Struct, frozen=True):
    """Holds a rule as the router shows it."""

    id: str
    name: str
    bus: str
    pattern: Mapping[str, Any]
    enabled: bool
    changed_at: datetime


class Endpoint(msgspec.Struct, frozen=True):
    """Holds an endpoint as webhooks shows it."""

    id: str
    pattern: Mapping[str, Any] | None
    status: str
    reason: str | None
    created_at: datetime


class Delivery(msgspec.Struct, frozen=True):
    """Holds how an endpoint stands with one event; `said` is what came of the last attempt."""

    event: str
    status: str
    attempts: int
    due: datetime
    changed_at: datetime
    said: str | None = None


def delivery(shown: Mapping[str, Any]) -> Delivery:
    """Read how webhooks shows a delivery with its attempts, the newest first."""
    tries = shown["tries"]
    return msgspec.convert({**shown, "said": tries[0]["said"] if tries else None}, Delivery)


class Fit(NamedTuple):
    """Holds why an event does not match; no reasons: it does."""

    event: Seen
    reasons: Sequence[Reason]


def is_outlet(expected: str) -> bool:
    """Tell whether a rule or an endpoint is meant."""
    kind, colon, name = expected.partition(":")
    return bool(kind in (RULE, ENDPOINT) and colon and name)


def named(rules: Sequence[Rule], name: str) -> Rule:
    """Return the rule of this name or id. Raises NotKnown."""
    if found := next((each for each in rules if name in (each.id, each.name)), None):
        return found
    raise NotKnown(f"There is no rule {name}. {_there_are([each.name for each in rules])}")


def of_name(endpoints: Sequence[Endpoint], name: str) -> Endpoint:
    """Return the endpoint of this name. Raises NotKnown."""
    if found := next((each for each in endpoints if each.id == name), None):
        return found
    raise NotKnown(f"There is no endpoint {name}. {_there_are([each.id for each in endpoints])}")


def why_rule(rule: Rule, story: Sequence[Seen], address: str) -> Answer:
    """Say what a rule has done with an order's events; where one matches and nothing came of it, in the chain only."""
    if passed := next((each for each in story if rule.id in _passed_by(each)), None):
        return Answer(Happened(passed.time, f"Rule {rule.name} has passed an event on.", passed.id), None, ())
    if not rule.enabled:
        said, command = (
            f"Rule {rule.name} is disabled.",
            f"curl -X POST {address}/rules/{quote(rule.id, safe='')}/enable",
        )
        return _broken(Broken("off", ROUTER, said, command, rule.changed_at))
    fits = [Fit(each, why_not(parse(rule.pattern), seen)) for each in story if (seen := _on(rule.bus, each))]
    return _of_fits(
        f"Rule {rule.name}", ROUTER, fits, rule.changed_at, f"curl {address}/rules/{quote(rule.id, safe='')}"
    )


def why_endpoint(endpoint: Endpoint, story: Sequence[Seen], deliveries: Sequence[Delivery], address: str) -> Answer:
    """Say how an endpoint stands with an order's events."""
    path = f"{address}/endpoints/{quote(endpoint.id, safe='')}"
    if deliveries:
        return _of_deliveries(endpoint.id, {each.id: each.name for each in story}, deliveries, path)
    if endpoint.status != "active":
        said = f"Endpoint {endpoint.id} is {endpoint.status}: {endpoint.reason or 'it has not answered a ping yet.'}"
        return _broken(Broken("off", WEBHOOKS, said, f"curl -X POST {path}/ping"))
    if endpoint.pattern is None:
        said = f"Endpoint {endpoint.id} has no pattern: it gets only what rules send it. Ask for the rule: rule:NAME."
        return _broken(Broken("filtered", WEBHOOKS, said, f"curl {path}"))
    fits = [Fit(each, why_not(parse(endpoint.pattern), each.whole)) for each in story]
    return _of_fits(f"Endpoint {endpoint.id}", WEBHOOKS, fits, endpoint.created_at, f"curl {path}")


def _of_fits(name: str, service: str, fits: Sequence[Fit], since: datetime, command: str) -> Answer:
    matching = [each.event for each in fits if not each.reasons]
    later = [each for each in matching if each.time >= since]
    if later:
        return Answer(None, None, (Link(f"{name} matches {later[0].name}.", later[0].time),))
    if matching:
        said = f"{name} matches {matching[0].name}, which happened before it was as it is now."
        return _broken(Broken("filtered", service, said, command, since))
    if not fits:
        return _broken(Broken("filtered", service, f"{name} sees no event of the order: none is on its bus.", command))
    event, reasons = min(fits, key=lambda each: len(each.reasons))
    near = f"{event.name} comes nearest: {'; '.join(map(_in_words, reasons))}."
    return _broken(
        Broken("filtered", service, f"{name} matches none of the order's {len(fits)} events. {near}", command)
    )


def _of_deliveries(endpoint: str, names: Mapping[str, str], deliveries: Sequence[Delivery], path: str) -> Answer:
    """Tell of the first that did not arrive; where all did, of the last."""
    arrived = [each for each in deliveries if each.status == "delivered"]
    chain = tuple(Link(f"{endpoint} got {names[each.event]}.", each.changed_at) for each in arrived)
    if not (open_ones := [each for each in deliveries if each.status != "delivered"]):
        last = max(arrived, key=lambda each: each.changed_at)
        return Answer(Happened(last.changed_at, f"{endpoint} got {names[last.event]}.", last.event), None, chain[:-1])
    first = open_ones[0]
    about = f"{names[first.event]} for endpoint {endpoint}"
    tried = f"after {first.attempts} attempts, the last: {first.said}"
    match first.status:
        case "parked":
            redrive = f"curl -X POST {path}/deliveries/{quote(first.event, safe='')}/redrive"
            broken = Broken("job-parked", WEBHOOKS, f"{about} was given up {tried}", redrive, first.changed_at)
        case "discarded":
            broken = Broken("discarded", WEBHOOKS, f"Somebody gave {about} up.", None, first.changed_at)
        case _ if first.attempts:
            broken = Broken("job-failing", WEBHOOKS, f"{about} waits {tried}", f"curl {path}", first.due)
        case _:
            broken = Broken("job-waiting", WEBHOOKS, f"{about} has not been sent yet.", f"curl {path}", first.due)
    return Answer(None, broken, chain)


def _in_words(reason: Reason) -> str:
    found = ", ".join(msgspec.json.encode(each).decode() for each in reason.found)
    return f"{reason.message}{f', and is {found}' if found else ''}"


def _on(bus: str, event: Seen) -> Mapping[str, Any] | None:
    """Show an event as rules of a bus see it; None where it is not on that bus."""
    lies = buses.bus_of(event.topic)
    if lies is None or lies.name != bus:
        return None
    if event.name == _FORWARDED:
        inner = _data(event).get("event")
        return inner if isinstance(inner, Mapping) else None
    return None if event.publisher == ROUTER else event.whole


def _passed_by(event: Seen) -> Sequence[str]:
    """Name the rules that an event comes of."""
    if event.publisher != ROUTER:
        return ()
    data = _data(event)
    trail = data.get("trail")
    return (*(trail if isinstance(trail, list) else ()), *([data["rule"]] if "rule" in data else []))


def _data(event: Seen) -> Mapping[str, Any]:
    """Return what an event tells; nothing where it is no object: the archive keeps whatever it is."""
    data = event.whole.get("data")
    return data if isinstance(data, Mapping) else {}


def _broken(broken: Broken) -> Answer:
    return Answer(None, broken, ())


def _there_are(names: Sequence[str]) -> str:
    return f"There are: {', '.join(sorted(names))}." if names else "There is none."
