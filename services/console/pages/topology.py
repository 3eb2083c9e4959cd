"""Draws the shop: topics and who reads them, rules and webhooks, with what goes through and who is behind."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import htpy as h
from htpy import Node

from services.console.asking import Ask, at
from services.console.drawing import Box, Row, Way, centred, draw, halves, stack
from services.console.elements import address, curl, notice
from services.console.pages.topics import FAR_BEHIND, behind, unanswered
from services.console.routing import Pages
from services.console.shell import Page
from services.console.traffic import Traffic, traffic_of

pages = Pages()
pages.section("/map", "Map", "Events", "ledger.read")

SIDE, MIDDLE, BETWEEN = 330, 240, 150
"""Widths of the columns, and of what is between them."""
MOST = 200
Declared = Mapping[tuple[str, str], Sequence[str]]
"""The types that a service says it reads of a topic, by topic and service."""


@pages.page("/map", "ledger.read", live=True)
async def show(ask: Ask) -> Page:
    """Draws what is connected to what, now."""
    known, traffic, rules, endpoints = await asyncio.gather(
        ask.get("ledger", "/contracts"),
        traffic_of(ask),
        _list(ask, "router", "/rules", "rules.read"),
        _list(ask, "webhooks", "/endpoints", "webhooks.read"),
    )
    reads, owners = declared(known["items"]), {each["service"] for each in known["items"]}
    body = [
        unanswered(traffic),
        h.p(".soft")["In the middle are the topics; at the sides is who reads which, how much, and how far behind."],
        h.div(".wide-only")[draw("Topics and who reads them", *topics(traffic, reads, owners))],
        h.div(".narrow-only")[_listed(traffic, reads)],
        _hearing(traffic, reads),
        h.h2["Rules and webhooks"],
        _rules(rules, endpoints),
    ]
    ledger = ask.services.address("ledger")
    says = (curl("reader", ledger + path) for path in ("/contracts", "/catalogue/live", "/rates"))
    return Page("Map", body, tuple(says))


def declared(contracts: Sequence[Mapping[str, Any]]) -> Declared:
    """Return which types each service says it reads, by the topic in which they come and the service."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in contracts:
        for reader in each["readers"]:
            found[topic_of(each["service"]), reader].append(each["type"])
    return found


def topic_of(service: str) -> str:
    """Name the topic of a service on the default bus."""
    return f"{service}.events"


def topics(traffic: Traffic, reads: Declared, owners: Collection[str]) -> tuple[list[Box], list[Way]]:
    """Lay out the topics, and at their sides who reads them."""
    names = sorted({topic for topic, _ in reads}.union(traffic.topics))
    middle = [_topic(traffic, name, owners) for name in names]
    place = {name: number for number, name in enumerate(names)}
    readers = sorted({reader for _, reader in reads})
    left, right = halves(sorted((_reader(traffic, reads, each) for each in readers), key=lambda box: -box.height))
    columns = [
        stack(sorted(left, key=lambda box: _mean(box, place)), 0, SIDE),
        stack(middle, SIDE + BETWEEN, MIDDLE),
        stack(sorted(right, key=lambda box: _mean(box, place)), SIDE + MIDDLE + 2 * BETWEEN, SIDE),
    ]
    ways = [_way(traffic, topic, reader, types) for (topic, reader), types in sorted(reads.items())]
    return centred(columns), ways


def flow(traffic: Traffic, topic: str, reader: str, types: Sequence[str]) -> tuple[str, str]:
    """Say how much of what is read came lately and how far behind the reader is, and of which kind that is."""
    count = sum(map(traffic.count_of, types))
    lag = traffic.readers(topic).get(reader)
    if lag is None:
        return f"{count:,}/min, not known", "wrong"
    if lag:
        return f"{count:,}/min, {lag:,} behind", "wrong" if lag >= FAR_BEHIND else "waits"
    return f"{count:,}/min ✓", "busy" if count else ""


def rules_and_targets(
    rules: Sequence[Mapping[str, Any]], endpoints: Sequence[Mapping[str, Any]]
) -> tuple[list[Box], list[Way]]:
    """Lay out buses, the rules that look at them, and where these send what matches."""
    wanted = {
        (kind, target[kind]) for each in rules for target in each["targets"] for kind in target if kind != "input"
    }
    wanted = {(kind, name) for kind, name in wanted if name}
    known = {each["id"]: each for each in endpoints}
    buses = [Box(f"bus:{name}", f"bus {name}", None) for name in sorted({each["bus"] for each in rules})]
    targets = [_endpoint(name, known.get(name)) for name in sorted({*known, *(n for k, n in wanted if k == "webhook")})]
    targets += [Box(f"bus-to:{name}", f"bus {name}", None) for name in sorted({n for k, n in wanted if k == "bus"})]
    columns = [
        stack(buses, 0, MIDDLE),
        stack(map(_rule, rules), MIDDLE + BETWEEN, SIDE),
        stack(targets, SIDE + MIDDLE + 2 * BETWEEN, SIDE),
    ]
    return centred(columns), [way for each in rules for way in _ways_of(each)]


def _topic(traffic: Traffic, name: str, owners: Collection[str]) -> Box:
    """Make the box of a topic; one of another bus than the default one has no contracts of its own."""
    to = at("/topics/{topic}", topic=name)
    contracts = address("/contracts", {"service": _owner(name)}) if _owner(name) in owners else to
    rows = (Row("rate", f"{traffic.count(name):,} in the last minute", to=contracts),)
    return Box(name, name, to, rows, kind="topic")


def _owner(topic: str) -> str:
    return topic.removesuffix(".events")


def _reader(traffic: Traffic, reads: Declared, reader: str) -> Box:
    rows = []
    for (topic, name), types in sorted(reads.items()):
        if name == reader:
            note, kind = flow(traffic, topic, reader, types)
            to = address("/contracts", {"service": _owner(topic), "reader": reader})
            rows.append(Row(topic, _owner(topic), note, to, kind))
    return Box(reader, reader, at("/consumers/{service}", service=reader), tuple(rows))


def _mean(box: Box, place: Mapping[str, int]) -> float:
    return sum(place[each.key] for each in box.rows) / max(1, len(box.rows))


def _way(traffic: Traffic, topic: str, reader: str, types: Sequence[str]) -> Way:
    note, kind = flow(traffic, topic, reader, types)
    names = ", ".join(each.rpartition(".v")[0].rpartition(".")[2] for each in types)
    return Way((topic, ""), (reader, topic), f"{topic} to {reader}: {note}. {names}", kind)


def _listed(traffic: Traffic, reads: Declared) -> Node:
    """Say the same as a list, for narrow screens."""
    return [_of_topic(traffic, reads, name) for name in traffic.topics]


def _of_topic(traffic: Traffic, reads: Declared, name: str) -> Node:
    readers = [reader for topic, reader in sorted(reads) if topic == name]
    return h.section(".panel")[
        h.h3[h.a(href=at("/topics/{topic}", topic=name))[name]],
        h.p[f"{traffic.count(name):,} in the last minute"],
        h.ul[(_line(traffic, name, reader) for reader in readers)] if readers else None,
    ]


def _line(traffic: Traffic, topic: str, reader: str) -> Node:
    lag = traffic.readers(topic).get(reader)
    to = address("/contracts", {"service": _owner(topic), "reader": reader})
    return h.li[h.a(href=to)[reader], " ", "not known" if lag is None else behind(lag)]


def _hearing(traffic: Traffic, reads: Declared) -> Node:
    """Name those who take all that comes, of which no way is drawn: each would lead to every topic."""
    lags = {
        name: sum(lag for topic, lag in each.lag.items() if (topic, name) not in reads)
        for name, each in traffic.reading.items()
        if len(each.lag) > 1 and any((topic, name) not in reads for topic in each.lag)
    }
    if not lags:
        return None
    return h.p[
        "Beside them these take whatever comes: ",
        [
            [h.a(href=at("/consumers/{service}", service=name))[name], " ", behind(lag), " "]
            for name, lag in lags.items()
        ],
    ]


def _rules(rules: Sequence[Mapping[str, Any]], endpoints: Sequence[Mapping[str, Any]]) -> Node:
    if not rules and not endpoints:
        return h.div(".empty")[
            "No rule and no webhook. ", h.a(href="/rules")["Rules"], " send events on; ",
            h.code["./sliceline webhooks listen"], " makes an endpoint.",
        ]  # fmt: skip
    cut = max(len(rules), len(endpoints)) == MOST
    return [
        h.div(".wide-only")[draw("Rules and where they send events", *rules_and_targets(rules, endpoints))],
        h.div(".narrow-only")[h.ul[(_rule_line(each) for each in rules), (_endpoint_line(each) for each in endpoints)]],
        cut and notice(f"Only the first {MOST} rules and endpoints are drawn: /rules and /webhooks list all."),
    ]


def _rule_line(rule: Mapping[str, Any]) -> Node:
    targets = ", ".join(each["webhook"] or f"bus {each['bus']}" for each in rule["targets"])
    return h.li["Rule ", h.a(href=at("/rules/{rule}", rule=rule["id"]))[rule["name"]], f" to {targets}"]


def _endpoint_line(endpoint: Mapping[str, Any]) -> Node:
    to = at("/webhooks/{endpoint}", endpoint=endpoint["id"])
    return h.li["Endpoint ", h.a(href=to)[endpoint["id"]], f": {endpoint['status']}"]


def _rule(rule: Mapping[str, Any]) -> Box:
    rows = (Row("", "works" if rule["enabled"] else "rests", f"version {rule['version']}"),)
    return Box(f"rule:{rule['id']}", rule["name"][:36], at("/rules/{rule}", rule=rule["id"]), rows)


def _endpoint(name: str, known: Mapping[str, Any] | None) -> Box:
    if known is None:
        return Box(f"endpoint:{name}", f"webhook {name}", None, (Row("", "! there is none", kind="wrong"),))
    kind = {"active": "", "disabled": "wrong"}.get(known["status"], "waits")
    chooses = "own pattern" if known["pattern"] else "what rules send"
    rows = (Row("", chooses, f"{known['status']}{' ✓' if not kind else ''}", kind=kind),)
    return Box(f"endpoint:{name}", f"webhook {name}"[:36], at("/webhooks/{endpoint}", endpoint=name), rows)


def _ways_of(rule: Mapping[str, Any]) -> list[Way]:
    key, kind = f"rule:{rule['id']}", "busy" if rule["enabled"] else ""
    ways = [Way((f"bus:{rule['bus']}", ""), (key, ""), f"{rule['name']} looks at bus {rule['bus']}", kind)]
    for each in rule["targets"]:
        end = f"endpoint:{each['webhook']}" if each["webhook"] else f"bus-to:{each['bus']}"
        ways.append(Way((key, ""), (end, ""), f"{rule['name']} sends to {end.partition(':')[2]}", kind))
    return ways


async def _list(ask: Ask, service: str, path: str, scope: str) -> Sequence[Mapping[str, Any]]:
    if service not in ask.services.names or not ask.may(scope):
        return ()
    found: Sequence[Mapping[str, Any]] = (await ask.get(service, path, limit=MOST))["items"]
    return found
