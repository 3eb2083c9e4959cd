"""docs/asvs.toml has all of ASVS 5.0.0 up to level 2, and says what is held by tests that there are."""

import ast
import re
from collections import Counter
from functools import cache
from hashlib import sha256

import pytest

from deployment.asvs import ASVS, STATES, told
from local import ROOT

REQUIREMENTS = told()["requirements"]
STANDARD = "29debb6cfc11acf5deb2b2bb4e01bd836c5648dcc592aae17957e36b808cec05"
"""What the standard's numbers with their levels come to, as "1.1.1 2", a line for each, in its order."""


@cache
def names_in(file: str) -> set[str]:
    return {each.name for each in ast.parse((ROOT / file).read_text()).body if hasattr(each, "name")}


@cache
def every_test() -> set[str]:
    return set().union(*(names_in(path.relative_to(ROOT).as_posix()) for path in ROOT.glob("tests/*/test_*.py")))


def test_every_requirement_of_the_standard_is_there_with_its_level() -> None:
    assert Counter(each["level"] for each in REQUIREMENTS.values()) == {1: 70, 2: 183}
    listed = "\n".join(f"{number} {each['level']}" for number, each in REQUIREMENTS.items())
    assert sha256(listed.encode()).hexdigest() == STANDARD


@pytest.mark.parametrize("number", REQUIREMENTS)
def test_a_requirement_is_held_by_tests_that_there_are_or_says_why_or_what_is_missing(number: str) -> None:
    requirement = REQUIREMENTS[number]
    [state] = requirement.keys() - {"level", "about"}
    assert state in STATES
    assert 0 < len(requirement["about"].split()) <= 10
    if state == "met":
        assert requirement[state]
        for file, _, name in (test.partition("::") for test in requirement[state]):
            assert name.startswith("test_")
            assert name in names_in(file)
    else:
        assert re.fullmatch(r".{6,}\.", requirement[state])
        assert set(re.findall(r"\btest_\w+", requirement[state])) <= every_test()


def test_each_of_the_ten_risks_of_an_api_is_met_by_tests_that_there_are() -> None:
    text = (ASVS.parent / "security.md").read_text()
    risks = re.findall(r"^\| (API\d+) .*\| (.*) \|$", text, re.MULTILINE)
    assert [name for name, _ in risks] == [f"API{number}" for number in range(1, 11)]
    for _, tests in risks:
        named = re.findall(r"`(tests/\w+/test_\w+\.py)::(test_\w+)`", tests)
        assert len(named) == tests.count("`") / 2 > 0
        assert [f"{file}::{name}" for file, name in named if name not in names_in(file)] == []
