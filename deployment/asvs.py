"""Writes the page that says what is held of OWASP's ASVS 5.0.0, from docs/asvs.toml, which people keep."""

import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from deployment.reference import REFERENCE

ASVS = REFERENCE.with_name("asvs.md")
FROM = ASVS.with_suffix(".toml")
STATES = ("met", "not applicable", "open")

INTRODUCTION = """\
# OWASP ASVS 5.0.0, levels 1 and 2

Written by `./sliceline contracts` from [asvs.toml](asvs.toml); a test holds it to that, and every test that is named
here to one that exists. A requirement is *met* only where a test would fail without it; what is done, and held by
nothing but care, is *open*. The numbers are those of the [Application Security Verification
Standard](https://github.com/OWASP/ASVS/tree/v5.0.0_release/5.0), the words are ours: what is asked for stands there.
"""

HEADS = """\
| requirement | level | asks for | state | by which test, why, or what is missing |
| --- | ---: | --- | --- | --- |"""

Requirement = dict[str, Any]


@cache
def told() -> dict[str, dict[str, Any]]:
    """Read what is held: the chapters' names by number, and the requirements by theirs."""
    return tomllib.loads(FROM.read_text())


def state_of(requirement: Requirement) -> str:
    """Return which of the STATES a requirement is in: the one that it says something of."""
    [state] = [each for each in STATES if each in requirement]
    return state


def _summary() -> str:
    """Count the requirements by state, in words."""
    counted = Counter(map(state_of, told()["requirements"].values()))
    states = ", ".join(f"{counted[state]} {state}" for state in STATES)
    return f"Of {counted.total()} requirements: {states}."


def page() -> Iterator[str]:
    """Return the page's lines."""
    yield f"{INTRODUCTION}\n{_summary()}\n"
    yield from _counts()
    for chapter, name in told()["chapters"].items():
        yield f"\n## {chapter} {name}\n"
        yield HEADS
        for number, each in _of(chapter).items():
            state = state_of(each)
            said = ", ".join(map(_linked, each[state])) if state == "met" else each[state]
            yield f"| v5.0.0-{number} | {each['level']} | {each['about']} | {state} | {said} |"
    yield ""


def _counts() -> Iterator[str]:
    yield f"| chapter | {' | '.join(STATES)} |\n| --- | ---: | ---: | ---: |"
    for chapter, name in told()["chapters"].items():
        counted = Counter(map(state_of, _of(chapter).values()))
        yield f"| {chapter} {name} | {' | '.join(str(counted[state]) for state in STATES)} |"


def _of(chapter: str) -> dict[str, Requirement]:
    return {number: each for number, each in told()["requirements"].items() if number.split(".")[0] == chapter}


def _linked(test: str) -> str:
    file, name = test.split("::")
    return f"[{name}](../{file})"
