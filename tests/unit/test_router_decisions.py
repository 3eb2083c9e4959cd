"""What becomes of rules, and what rules make of events, with nothing around it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from backbone.patterns import parsing
from backbone.storage.outbox import LARGEST
from services.router import decisions
from services.router.decisions import (
    LARGEST_EVENT,
    MOST_FORWARDED,
    MOST_RULES_PASSED,
    Arrival,
    BadRule,
    Content,
    Outdated,
    Reach,
    Routed,
    Rule,
    Target,
    TroubleKind,
)
from services.router.events import DeliveryRequested, EventForwarded, RuleChanged
from services.router.rulebook import Rulebook

NOW = datetime(2026, 11, 27, tzinfo=UTC)
LATER = datetime(2026, 11, 28, tzinfo=UTC)
PLACED = {"source": ["/sliceline/orders"], "type": ["sliceline.orders.order-placed.v1"]}
EVENT = {
    "id": "e1",
    "source": "/sliceline/orders",
    "type": "sliceline.orders.order-placed.v1",
    "data": {"order": "o1", "total": {"amount": 2400, "currency": "GBP"}},
}


def content(**changed: Any) -> Content:
    webhook = Target(webhook="accounting")
    return replace(Content(bus="default", name="rule", pattern=PLACED, targets=(webhook,)), **changed)


def rule(name: str, **changed: Any) -> Rule:
    return Rule(id=name, content=content(name=name, **changed), version=1, changed_at=NOW, changed_by="ada")


REACH = Reach(looks_at=frozenset({"default", "partners"}), puts_on=frozenset({"default", "b"}))
"""Of a rule that is made or changed."""


def routed(*rules: Rule, event: dict[str, Any] = EVENT, bus: str = "default") -> Routed:
    """Route with every bus within reach that a rule names."""
    named = frozenset(target.bus for rule in rules for target in rule.content.targets if target.bus)
    return decisions.route(Arrival(bus, event), Rulebook("now", rules).match, Reach(looks_at=named, puts_on=named))


def buses(decision: Routed) -> list[tuple[str, Sequence[str]]]:
    return [(each.bus, each.trail) for each in decision.events if isinstance(each, EventForwarded)]


def test_a_new_rule_is_told_with_what_it_says() -> None:
    decision = decisions.create("r", content(), REACH, "ada", NOW)
    [told] = decision.events
    assert isinstance(told, RuleChanged)
    assert (decision.state.version, told.version, told.change, told.by, told.before) == (1, 1, "created", "ada", None)
    assert told.after is not None
    assert told.after.targets == ({"webhook": "accounting"},)


def test_a_changed_rule_is_told_as_it_was_and_as_it_is() -> None:
    decision = decisions.change(rule("r"), content(name="other"), 1, REACH, "bob", LATER)
    [told] = decision.events
    assert isinstance(told, RuleChanged)
    assert (decision.state.version, decision.state.changed_by, decision.state.changed_at) == (2, "bob", LATER)
    assert told.before is not None
    assert told.after is not None
    assert (told.before.name, told.after.name, told.change) == ("r", "other", "changed")


def test_a_rule_that_is_given_what_it_says_already_keeps_its_version() -> None:
    known = rule("r")
    assert decisions.change(known, known.content, None, REACH, "bob", LATER).state is known
    assert decisions.switch(known, True, "bob", LATER).events == ()


def test_a_rule_that_somebody_else_has_changed_since_is_not_changed() -> None:
    with pytest.raises(Outdated, match="at version 1, not 7: ada"):
        decisions.change(rule("r"), content(name="other"), 7, REACH, "bob", LATER)


@pytest.mark.parametrize(("enabled", "change"), [(False, "disabled"), (True, "enabled")])
def test_a_switched_rule_is_told(enabled: bool, change: str) -> None:
    decision = decisions.switch(rule("r", enabled=not enabled), enabled, "bob", LATER)
    assert (decision.state.content.enabled, decision.state.version) == (enabled, 2)
    assert [each.change for each in decision.events if isinstance(each, RuleChanged)] == [change]


def test_a_rule_that_is_gone_is_told_as_it_was() -> None:
    [told] = decisions.delete(rule("r"), "bob", LATER).events
    assert isinstance(told, RuleChanged)
    assert (told.change, told.version, told.after) == ("deleted", 2, None)
    assert told.before is not None


@pytest.mark.parametrize(
    ("changed", "place", "reason"),
    [
        ({"pattern": {**PLACED, "data": {"lines": [{"numeric": 5}]}}}, "pattern.data.lines[0].numeric", "comparison"),
        ({"pattern": {}}, "pattern", "names no field"),
        ({"pattern": {"type": ["x"]}}, "pattern.source", "means_all"),
        ({"pattern": {"source": ["x"], "data": {"type": ["x"]}}}, "pattern.type", "means_all"),
        ({"pattern": {"source": ["x"], "$or": [{"type": ["a"]}, {"subject": ["b"]}]}}, "pattern.type", "alternative"),
        ({"pattern": {**PLACED, "detail-type": ["x"]}}, "pattern.detail-type", "EventBridge's detail is data"),
        ({"pattern": {**PLACED, "detail": {"x": [1]}}}, "pattern.detail.x", "source and type"),
        ({"pattern": {**PLACED, "$or": [{"Subject": [1]}, {"time": [1]}]}}, "pattern.$or[0].Subject", "attributes"),
        ({"pattern": {**PLACED, "tpye": ["x"]}}, "pattern.tpye", "is type meant"),
        ({"pattern": {**PLACED, "color": ["x"]}}, "pattern.color", "never color"),
        ({"pattern": {**PLACED, "data": {"x": ["y" * parsing.LARGEST]}}}, "pattern", "4096 are allowed"),
        ({"bus": "b"}, "bus", "default, partners"),
        ({"targets": (Target(bus="partners"),)}, "targets.0.bus", "b, default"),
        ({"targets": (Target(),)}, "targets.0", "exactly one"),
        ({"targets": (Target(bus="b"), Target(bus="b", webhook="w"))}, "targets.1", "exactly one"),
        ({"targets": (Target(bus="b", input={"take": 1}),)}, "targets.0.input", "pick, fixed, template"),
        ({"targets": (Target(bus="b", input={"pick": ["a", 5]}),)}, "targets.0.input.pick[1]", "path"),
        ({"targets": (Target(bus="b", input={"template": [{"a": "{"}]}),)}, "targets.0.input.template[0].a", "brace"),
        ({"targets": (Target(bus="b", input={"fixed": "y" * 5000}),)}, "targets.0.input", "4096 are allowed"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_the_place(changed: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(BadRule, match=reason) as refused:
        decisions.create("r", content(**changed), REACH, "ada", NOW)
    assert refused.value.place == place


def test_a_rule_may_leave_out_source_and_type_when_it_says_that_it_means_all() -> None:
    assert decisions.create("r", content(pattern={"data": {"x": [1]}}, means_all=True), REACH, "ada", NOW).events


def test_a_webhook_gets_the_whole_event_or_what_the_rule_makes_of_it() -> None:
    template = {"template": {"say": "{data.order} costs {data.total.amount}"}}
    targets = (Target(webhook="all"), Target(webhook="some", input=template))
    [all_of_it, some] = routed(rule("r", targets=targets)).events
    attributes = {name: value for name, value in EVENT.items() if name != "data"}
    assert all_of_it == DeliveryRequested(
        endpoint="all", rule="r", version=1, bus="default", event=attributes, input=EVENT
    )
    assert isinstance(some, DeliveryRequested)
    assert (some.endpoint, some.input) == ("some", {"say": "o1 costs 2400"})


def test_another_bus_gets_the_event_with_the_data_that_the_rule_makes_of_it() -> None:
    [forwarded] = routed(rule("r", targets=(Target(bus="partners", input={"fixed": {"a": 1}}),))).events
    assert forwarded == EventForwarded(bus="partners", trail=("r",), event={**EVENT, "data": {"a": 1}})


def test_only_rules_of_the_bus_that_match_send_anything() -> None:
    other = {"source": ["/sliceline/orders"], "type": ["sliceline.orders.order-rejected.v1"]}
    rules = rule("a"), rule("b", bus="partners"), rule("c", pattern=other)
    assert [each.rule for each in routed(*rules).events if isinstance(each, DeliveryRequested)] == ["a"]


def test_rules_of_the_next_bus_see_what_is_put_there() -> None:
    first = rule("first", targets=(Target(bus="next", input={"fixed": {"vip": True}}),))
    second = rule("second", bus="next", pattern={**PLACED, "data": {"vip": [True]}})
    third = rule("third", bus="next", pattern={**PLACED, "data": {"order": ["o1"]}})
    decision = routed(first, second, third)
    assert buses(decision) == [("next", ("first",))]
    assert [each.rule for each in decision.events if isinstance(each, DeliveryRequested)] == ["second"]


def test_a_rule_that_feeds_itself_is_cut_and_told() -> None:
    decision = routed(rule("r", targets=(Target(bus="default"), Target(webhook="w"))))
    assert buses(decision) == [("default", ("r",))]
    [trouble] = decision.state
    assert (trouble.rule, trouble.kind, trouble.event) == ("r", TroubleKind.LOOP, "e1")
    assert "r > r" in trouble.detail


def test_rules_that_feed_each_other_are_cut_where_the_circle_closes() -> None:
    there = rule("there", targets=(Target(bus="far"),))
    back = rule("back", bus="far", targets=(Target(bus="default"),))
    decision = routed(there, back)
    assert buses(decision) == [("far", ("there",)), ("default", ("there", "back"))]
    assert [(each.rule, each.kind) for each in decision.state] == [("there", TroubleKind.LOOP)]


def test_an_event_passes_no_more_rules_than_it_may() -> None:
    chain = [
        rule(f"r{number}", bus=f"b{number}", targets=(Target(bus=f"b{number + 1}"),))
        for number in range(MOST_RULES_PASSED + 3)
    ]
    decision = routed(*chain, bus="b0")
    assert len(buses(decision)) == MOST_RULES_PASSED
    assert [(each.rule, each.kind) for each in decision.state] == [(f"r{MOST_RULES_PASSED}", TroubleKind.TOO_FAR)]


def test_rules_that_pass_everything_to_each_other_do_not_multiply_an_event_without_end() -> None:
    decision = routed(*[rule(f"r{number}", targets=(Target(bus="default"),)) for number in range(12)])
    assert len(buses(decision)) <= MOST_FORWARDED
    assert TroubleKind.TOO_FAR in {each.kind for each in decision.state}


def test_what_is_too_large_to_send_is_told_and_the_other_targets_get_theirs() -> None:
    event = {**EVENT, "data": {"order": "o1", "text": "x" * LARGEST_EVENT}}
    some = Target(webhook="some", input={"pick": ["data.order"]})
    decision = routed(rule("r", targets=(Target(webhook="all"), some)), event=event)
    [sent] = decision.events
    assert isinstance(sent, DeliveryRequested)
    assert (sent.endpoint, sent.input) == ("some", {"data": {"order": "o1"}})
    [trouble] = decision.state
    assert (trouble.kind, "target 0" in trouble.detail) == (TroubleKind.TOO_LARGE, True)


def test_a_bus_that_is_no_more_is_told_and_the_other_targets_get_theirs() -> None:
    known = rule("r", targets=(Target(bus="gone"), Target(webhook="w")))
    decision = decisions.route(Arrival("default", EVENT), Rulebook("now", [known]).match, REACH)
    assert [each.endpoint for each in decision.events if isinstance(each, DeliveryRequested)] == ["w"]
    assert [(each.rule, each.kind) for each in decision.state] == [("r", TroubleKind.NO_BUS)]
    assert not buses(decision)


def test_what_may_be_sent_is_what_the_outbox_takes() -> None:
    assert LARGEST_EVENT == LARGEST


def test_a_rulebook_parses_again_only_what_has_changed() -> None:
    one, two = rule("one"), rule("two", pattern={**PLACED, "subject": ["a"]})
    first = Rulebook("first", [one, two])
    second = Rulebook("second", [one, rule("two", pattern={**PLACED, "subject": ["b"]})], first)
    kept = first.patterns.keys() & second.patterns.keys()
    assert len(kept) == 1
    assert all(second.patterns[text] is first.patterns[text] for text in kept)
