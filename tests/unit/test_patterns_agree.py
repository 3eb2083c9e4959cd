"""The engine and a naive matcher, written independently, agree on whatever patterns and events there may be."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backbone.patterns.index import Index
from backbone.patterns.matching import matches
from backbone.patterns.parsing import parse
from backbone.patterns.pattern import BadPattern
from backbone.patterns.reasons import why_not
from tests.naive_patterns import naively_matches

pytestmark = pytest.mark.long

# Few and short, so that patterns and events meet; with letters that case folding treats in a way of their own.
TEXTS = st.sampled_from(
    ["", "a", "A", "b", "ab", "aB", "ba", "aab", "abba", "a*b", "K", "k\u212a", "ß", "ẞb", "ſ", "\\"]
)
NAMES = st.sampled_from(["a", "b", "c", "source", "type"])
WAYS = st.sampled_from(["a", "b", "c", "a.b", "b.a", "source", "type"])
NUMBERS = st.sampled_from([-2, -1, -0.0, 0, 0.5, 1, 1.0, 2, 2.5, 3, 1e300, 10**20])
ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.1.1", "11.0.0.1", "2001:db8::1", "::1", "10.0.0.01", "fe80::1%eth0"])
SCALARS = st.one_of(TEXTS, TEXTS, NUMBERS, ADDRESSES, st.sampled_from([True, False, None]))
WILDCARDS = st.sampled_from(["", "*", "a*", "*a", "*a*", "a*b", "a*a", "*b*a", "ab", "a\\*b", "b*b*", "*\\\\", "a*b*a"])
NETWORKS = st.sampled_from(["10.0.0.0/8", "10.0.0.0/24", "10.0.0.1/32", "0.0.0.0/0", "::/0", "2001:db8::/32"])


def operator(name: str, operand: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({name: operand})


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One, or a list of them."""
    return st.one_of(strategy, st.lists(strategy, min_size=1, max_size=3))


@st.composite
def ranges(draw: st.DrawFn) -> list[Any]:
    low, high = sorted(draw(st.tuples(NUMBERS, NUMBERS).filter(lambda both: both[0] != both[1])))
    one = st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), NUMBERS)
    both = st.tuples(st.sampled_from([">", ">="]), st.just(low), st.sampled_from(["<", "<="]), st.just(high))
    return list(draw(st.one_of(one, both)))


FULL_TEXTS = TEXTS.filter(bool)
CONDITIONS = st.one_of(
    SCALARS,
    SCALARS,
    operator("exactly", TEXTS),
    operator("prefix", TEXTS),
    operator("suffix", TEXTS),
    operator("equals-ignore-case", TEXTS),
    operator("prefix", operator("equals-ignore-case", TEXTS)),
    operator("suffix", operator("equals-ignore-case", TEXTS)),
    operator("wildcard", WILDCARDS),
    operator("numeric", ranges()),
    operator("cidr", NETWORKS),
    operator("exists", st.booleans()),
    operator("anything-but", st.one_of(some(TEXTS), some(NUMBERS))),
    operator("anything-but", operator("prefix", some(FULL_TEXTS))),
    operator("anything-but", operator("suffix", some(FULL_TEXTS))),
    operator("anything-but", operator("equals-ignore-case", some(TEXTS))),
    operator("anything-but", operator("wildcard", some(WILDCARDS))),
)
FIELDS = st.lists(CONDITIONS, min_size=1, max_size=3)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects of a pattern, some with a choice."""
    plain = st.dictionaries(WAYS, inner, min_size=1, max_size=3)
    choice = st.fixed_dictionaries({"$or": st.lists(plain, min_size=2, max_size=3)})
    return st.one_of(plain, plain, plain, choice, st.builds(lambda one, two: {**one, **two}, plain, choice))


PATTERNS = objects(st.recursive(FIELDS, objects, max_leaves=4))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=4)


PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no fault of the engine."""


def engine_matches(pattern: dict[str, Any], event: dict[str, Any]) -> tuple[bool, bool]:
    """What the index says and what matching one by one says."""
    parsed = parse(pattern)
    one_by_one = any(matches(each, event) for each in parsed.alternatives())
    return Index([("it", parsed)]).match(event) == ["it"], one_by_one


def is_sound(pattern: dict[str, Any]) -> bool:
    """Leave out what names a field twice; nothing else is wrong with what is drawn here."""
    with suppress(BadPattern):
        return parse(pattern) is not None
    return False


@given(PATTERNS.filter(is_sound), EVENTS)
@settings(PATIENT, max_examples=150)
def test_one_pattern_matches_an_event_exactly_when_its_definition_says_so(pattern: Any, event: Any) -> None:
    assert engine_matches(pattern, event) == (naively_matches(pattern, event),) * 2


@given(st.lists(PATTERNS.filter(is_sound), max_size=6), st.lists(EVENTS, min_size=1, max_size=3))
@settings(PATIENT, max_examples=60)
def test_an_index_of_many_patterns_finds_those_that_match_each_in_its_order(patterns: Any, events: Any) -> None:
    index = Index([(number, parse(pattern)) for number, pattern in enumerate(patterns)])
    for event in events:
        expected = [number for number, pattern in enumerate(patterns) if naively_matches(pattern, event)]
        assert index.match(event) == expected


@given(PATTERNS.filter(is_sound), EVENTS)
@settings(PATIENT, max_examples=60)
def test_reasons_are_given_exactly_where_an_event_does_not_match(pattern: Any, event: Any) -> None:
    assert bool(why_not(parse(pattern), event)) == (not naively_matches(pattern, event))


OPERATORS = [
    "a",
    "$or",
    "prefix",
    "suffix",
    "wildcard",
    "anything-but",
    "numeric",
    "exists",
    "cidr",
    "equals-ignore-case",
]
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(OPERATORS), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(OPERATORS), ANYTHING, max_size=2))
@settings(PATIENT, max_examples=200)
def test_whatever_is_given_as_a_pattern_is_read_or_refused(given: Any) -> None:
    with suppress(BadPattern):
        assert parse(json.loads(json.dumps(given))).alternatives()
