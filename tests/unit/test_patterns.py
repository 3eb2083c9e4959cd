"""What patterns mean, by a table of patterns with events that match and events that do not.

The table follows the documentation of Amazon EventBridge. Each answer was compared with that of AWS's own event-ruler
2.1; where ours is another, the row says in `ruler_differs` why.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backbone.patterns.index import Index
from backbone.patterns.matching import matches
from backbone.patterns.parsing import DEEPEST, parse
from backbone.patterns.pattern import BadPattern
from backbone.patterns.reasons import Reason, why_not
from tests.naive_patterns import naively_matches

TESTS = Path(__file__).parents[1]
TABLE = json.loads((TESTS / "patterns.json").read_text())
REFUSED = json.loads((TESTS / "bad_patterns.json").read_text())


def pairs() -> Iterator[Any]:
    for row in TABLE:
        for answer in ("matches", "misses"):
            for number, event in enumerate(row[answer]):
                pair = f"{row['about']} {answer} {number}"
                yield pytest.param(row["pattern"], event, answer == "matches", id=pair)


@pytest.mark.parametrize(("pattern", "event", "expected"), list(pairs()))
def test_a_pair_of_the_table_gets_its_answer(pattern: Any, event: Any, expected: bool) -> None:
    parsed = parse(pattern)
    assert any(matches(each, event) for each in parsed.alternatives()) is expected
    assert Index([(1, parsed)]).match(event) == [1] * expected
    assert naively_matches(pattern, event) is expected
    assert bool(why_not(parsed, event)) is not expected


def test_an_index_of_the_whole_table_answers_each_pair_alike() -> None:
    index = Index([(row["about"], parse(row["pattern"])) for row in TABLE])
    for event in (event for row in TABLE for event in row["matches"] + row["misses"]):
        assert index.match(event) == [row["about"] for row in TABLE if naively_matches(row["pattern"], event)]


def test_the_table_has_at_least_three_hundred_pairs_and_every_operator() -> None:
    assert len(list(pairs())) >= 300
    text = json.dumps([row["pattern"] for row in TABLE])
    alone = ("numeric", "exists", "cidr", "exactly", "$or")
    refusable = ("prefix", "suffix", "equals-ignore-case", "wildcard")
    refused = [f'"anything-but": {{"{each}"' for each in refusable]
    for written in [*(f'"{each}": ' for each in (*alone, *refusable)), *refused]:
        assert written in text


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: json.dumps(row["pattern"]))
def test_a_bad_pattern_is_refused_with_the_place_in_it(row: Any) -> None:
    with pytest.raises(BadPattern) as refused:
        parse(row["pattern"])
    assert refused.value.place == row["place"]
    assert refused.value.reason


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("around", ["{}", '{{"anything-but": {}}}', '{{"numeric": [">", {}]}}'])
def test_a_number_that_json_has_no_word_for_is_refused(number: float, around: str) -> None:
    pattern = {"a": [json.loads(around.format(json.dumps(number)))]}
    with pytest.raises(BadPattern, match=r"larger|number"):
        parse(pattern)


def test_a_choice_of_too_many_combinations_is_refused() -> None:
    def choice(name: str) -> dict[str, Any]:
        return {"$or": [{name: {str(number): [1]}} for number in range(32)]}

    parse({**choice("a"), "data": {"b": [1]}})
    with pytest.raises(BadPattern, match="more than 1000"):
        parse({**choice("a"), "data": choice("b")})


def test_a_pattern_that_is_too_deep_is_refused() -> None:
    pattern: Any = ["x"]
    for _ in range(DEEPEST):
        pattern = {"a": pattern}
    parse(pattern)
    for _ in range(10_000):
        pattern = {"a": pattern}
    with pytest.raises(BadPattern, match="levels deep"):
        parse(pattern)


def reasons(pattern: Any, event: Any) -> list[Reason]:
    return why_not(parse(pattern), event)


def test_a_reason_names_the_field_what_it_has_to_be_and_what_it_is() -> None:
    pattern = {"type": ["a"], "data": {"total": {"amount": [{"numeric": [">", 10, "<=", 20]}, {"exists": False}]}}}
    assert reasons(pattern, {"type": "a", "data": {"total": {"amount": 7}}}) == [
        Reason("data.total.amount", "data.total.amount has to be a number > 10 and <= 20 or be absent", (7,))
    ]


def test_every_field_that_does_not_hold_has_a_reason() -> None:
    pattern = {"source": [{"prefix": "/sliceline/"}], "type": ["a", "b"], "data": {"ip": [{"cidr": "10.0.0.0/8"}]}}
    assert [each.place for each in reasons(pattern, {"source": "x", "data": {"ip": "11.0.0.1"}})] == [
        "source",
        "type",
        "data.ip",
    ]


def test_a_field_that_the_event_does_not_have_is_told_as_such() -> None:
    [reason] = reasons({"data": {"a": [{"anything-but": ["x", "y"]}]}}, {"data": {}})
    assert reason.message == 'data.a has to not be "x" and not be "y", and the event has no value there'


def test_all_alternatives_of_a_choice_are_told_where_none_holds() -> None:
    pattern = {"$or": [{"a": [1]}, {"b": [2], "c": [3]}], "d": [4]}
    assert [each.place for each in reasons(pattern, {"c": 3, "d": 4})] == ["$or[0].a", "$or[1].b"]


def test_fields_met_in_different_elements_of_an_array_are_told_as_such() -> None:
    pattern = {"data": {"lines": {"item": ["a"], "quantity": [2]}}}
    event = {"data": {"lines": [{"item": "a", "quantity": 1}, {"item": "b", "quantity": 2}]}}
    assert reasons(pattern, event) == [
        Reason(
            "data.lines",
            "no one element of data.lines has all of data.lines.item, data.lines.quantity as they have to be",
        )
    ]


class Watched(list[Any]):
    """A list that counts how often somebody goes through it."""

    times = 0

    def __iter__(self) -> Iterator[Any]:
        self.times += 1
        return super().__iter__()


def test_arrays_are_looked_for_where_fields_lie_and_not_for_each_alternative_anew() -> None:
    branches = [{"l": {"a": [1], "b": [1], f"x{number}": [{"exists": False}]}} for number in range(100)]
    beside, deeper, inner = Watched([[]] * 10), Watched([{}] * 10), Watched([1] * 10)
    event = {"x": beside, "l": [{"a": 1, "y": deeper}, {"b": 1}, {"c": inner}]}
    assert len(reasons({"$or": [*branches, {"l": {"a": [1], "b": [1], "c": [1]}}]}, event)) == 101
    assert (beside.times, deeper.times) == (0, 0)
    assert inner.times < 20  # a few times for its own alternative, and not for each of a hundred


def test_only_some_of_many_values_are_shown_and_long_ones_are_cut() -> None:
    [reason] = reasons({"a": ["x"]}, {"a": ["y" * 1000] * 100})
    assert len(reason.found) == 5
    assert len(str(reason.found[0])) == 200


def test_rules_of_one_name_are_found_once_each_in_their_order() -> None:
    either = {"$or": [{"a": [1]}, {"b": [2]}]}
    index = Index([("second", parse({"a": [1]})), ("first", parse(either)), ("third", parse({"c": [1]}))])
    assert index.match({"a": 1, "b": 2}) == ["second", "first"]


def test_an_index_of_no_rules_finds_none() -> None:
    assert Index[str]([]).match({"source": "s", "type": "t"}) == []


def test_an_index_remembers_no_more_combinations_of_source_and_type_than_it_may() -> None:
    index = Index([("all", parse({"type": [{"exists": True}]}))])
    for number in range(3000):
        assert index.match({"source": "s", "type": f"t{number}"}) == ["all"]
    assert len(index._parts) <= 1024


def test_an_index_remembers_no_more_sets_of_rules_than_it_may() -> None:
    index = Index([(number, parse({"type": [f"t{number}"]})) for number in range(2000)])
    for number in range(2000):
        assert index.match({"source": "s", "type": f"t{number}"}) == [number]
    assert len(index._parts_by_bits) <= 1024


def test_combinations_that_leave_the_same_rules_share_what_is_remembered_of_them() -> None:
    wide: list[dict[str, Any]] = [{"type": [{"prefix": "t"}], "a": [1]}, {"a": [1]}, {"type": ["t7"], "a": [1]}]
    index = Index([(number, parse(pattern)) for number, pattern in enumerate(wide)])
    for number in range(100):
        expected = [0, 1, 2] if number == 7 else [0, 1]
        assert index.match({"source": f"s{number}", "type": f"t{number}", "a": 1}) == expected
    assert len(index._parts) == 100
    assert len(set(map(id, index._parts.values()))) == 2


def test_values_deep_in_an_array_cost_what_their_number_costs() -> None:
    index = Index([("rule", parse({"a": ["last"]}))])
    event = {"a": [*([str(number)] for number in range(100_000)), ["last"]]}
    begin = time.process_time()
    assert index.match(event) == ["rule"]
    assert time.process_time() - begin < 3  # copied for each value, they take half a minute


@pytest.mark.parametrize("source", [None, 5, ["s"], {"a": "s"}])
def test_a_source_that_is_no_text_is_matched_like_any_value(source: Any) -> None:
    patterns: list[dict[str, Any]] = [{"source": ["s"]}, {"source": [None]}, {"source": [5]}, {"source": {"a": ["s"]}}]
    index = Index([(number, parse(pattern)) for number, pattern in enumerate(patterns)])
    assert index.match({"type": "t"}) == []
    event = {"source": source, "type": "t"}
    assert index.match(event) == [at for at, pattern in enumerate(patterns) if naively_matches(pattern, event)]
