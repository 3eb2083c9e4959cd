"""The gate of contracts: what breaks somebody is refused, what breaks nobody passes, and what is said of it helps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbone.events.losses import losses
from bench.planting import Planted, patched, planted
from deployment.differences import Contract
from deployment.findings import RULES, as_text
from deployment.gate import Tree, judge
from deployment.released import Form
from deployment.trying import tried

PLANTED = planted()
REFUSED = [each for each in PLANTED if each.kind != "safe"]
SAFE = [each for each in PLANTED if each.kind == "safe"]
[BASE] = {id(each.tree): each.tree for each in PLANTED if each.name == "nothing changes"}.values()
[CONTRACT] = BASE.current.values()
SAMPLES = list(CONTRACT.samples.values())
UNSHOWN = ("unit", "default", "sensitivity", "sunset", "broken")
"""Rules whose breach no value shows."""
STRUCTURAL = [
    each for each in PLANTED if each.schemas and each.kind != "undecided" and each.said.get("rule") not in UNSHOWN
]
UNSEEN = ("an optional field is removed", "a field is renamed")
"""What no value shows: a field that could be missing is missing always."""


def test_so_many_changes_are_planted() -> None:
    assert len({each.name for each in PLANTED}) == len(PLANTED)
    assert len(REFUSED) >= 40
    assert len(SAFE) >= 20


@pytest.mark.parametrize("change", REFUSED, ids=lambda each: each.name)
def test_a_change_that_breaks_somebody_is_refused(change: Planted) -> None:
    judged = judge(change.tree)
    wanted = change.said["rule"], change.said["field"]
    [found] = [each for each in judged.findings if (each.rule, each.field) == wanted]
    assert list(found.readers) == change.said.get("readers", list(found.readers))
    assert bool(judged.undecided) == (change.kind == "undecided")


def test_each_rule_is_said_in_words_and_broken_by_something_planted() -> None:
    found = [finding for each in REFUSED for finding in judge(each.tree).findings]
    assert {finding.rule for finding in found} == RULES.keys() - {"tried"}  # which is for what nobody has thought of
    assert all(f"Rule {finding.rule}: " in as_text(finding) for finding in found)


@pytest.mark.parametrize("change", SAFE, ids=lambda each: each.name)
def test_a_change_that_breaks_nobody_passes(change: Planted) -> None:
    assert judge(change.tree).findings == []


def test_values_alone_show_whatever_a_check_of_an_event_would_notice() -> None:
    """What is tried stands beside what is reasoned, so it has to find things by itself."""
    seen = {change.name for change in STRUCTURAL if shows(change)}
    breaking = {change.name for change in STRUCTURAL if change.kind == "breaking"}
    assert seen <= breaking
    assert all("removed" in name or "gone" in name or name in UNSEEN for name in breaking - seen), breaking - seen


def shows(change: Planted) -> bool:
    """Whether some value fits one form of the contract and not the other."""
    assert change.schemas
    forms, new = change.schemas
    pairs = [*((new, form) for form in forms), *((form, new) for form in forms)]
    return any(tried(reader, writer, SAMPLES).is_refused for reader, writer in pairs)


patches = st.lists(st.sampled_from([each.said["schema"] for each in STRUCTURAL]), min_size=2, max_size=3)


@settings(max_examples=25, deadline=None)
@given(patches)
def test_no_value_is_refused_where_nothing_was_found(several: list[dict[str, object]]) -> None:
    """Several changes at once: whoever reasons and whoever tries have to agree."""
    new = CONTRACT.schema
    for patch in several:
        new = patched(new, patch)
    for reader, writer in ((new, CONTRACT.schema), (CONTRACT.schema, new)):
        assert losses(reader, writer) or not tried(reader, writer, SAMPLES).is_refused


def test_a_form_of_long_ago_is_held_to_as_the_last_one_is() -> None:
    """Between the last two forms nothing has changed for the worse."""
    [change] = [each for each in PLANTED if each.name.startswith("a name that was removed is used again")]
    first, last = change.tree.released
    assert [each.rule for each in judge(change.tree).findings] == ["type"]
    assert judge(Tree([last], change.tree.current, change.tree.readers)).findings == []
    assert first.number == 1


def test_what_is_said_of_a_removed_field_names_those_who_read_it() -> None:
    [change] = [each for each in PLANTED if each.name == "a required field is removed"]
    [found] = judge(change.tree).findings
    assert found.sentence == "shop.parcel-sent.v1: total removed; read by loyalty"
    assert found.file == "schemas/shop/parcel-sent.v1.json"
    assert "publish parcel-sent.v2 beside it (docs/changing-an-event.md)" in found.instead


def test_the_next_version_follows_the_newest_that_there_ever_was() -> None:
    newer = Form("sliceline.shop.parcel-sent.v4", 1, CONTRACT, retired=True)
    assert (
        Tree([*BASE.released, newer], BASE.current, {}).next_version("sliceline.shop.parcel-sent.v1")
        == "parcel-sent.v5"
    )


def test_how_much_was_looked_at_is_counted() -> None:
    judged = judge(Tree(BASE.released, {**BASE.current, "sliceline.shop.new.v1": Contract({})}, BASE.readers))
    assert (judged.contracts, judged.forms, judged.readers, judged.values) == (2, 1, 2, 0)
