"""Matches events against rules in a process of its own, for `bench/rules.py`. JSON in as its argument, JSON out."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from backbone.patterns.index import Index
from backbone.patterns.matching import matches
from backbone.patterns.parsing import parse
from backbone.patterns.pattern import Pattern
from bench.ruleset import events, placed, rules

Match = Callable[[Mapping[str, Any]], Sequence[int]]


def measure(kind: str, count: int, seconds: float, *, indexed: bool) -> dict[str, float]:
    """Tell how many events a second of CPU time are read from JSON and matched, on the one core that this takes."""
    began = time.process_time()
    patterns = [(number, parse(pattern)) for number, pattern in enumerate(rules(kind, count))]
    parsed = time.process_time()
    match = Index(patterns).match if indexed else _one_by_one(patterns)
    made = time.process_time()
    texts = events(1000) if kind == "mixed" else placed(1000)
    found = sum(len(match(msgspec.json.decode(text))) for text in texts)
    return {
        "rate": _rate(lambda text: match(msgspec.json.decode(text)), texts, seconds),
        "parsing": parsed - began,
        "indexing": made - parsed,
        "found": found / len(texts),
    }


def _rate(match: Callable[[bytes], object], texts: Sequence[bytes], seconds: float) -> float:
    done, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        for text in texts[done % len(texts) :][:100]:
            match(text)
        done += 100
    return done / (time.process_time() - began)


def _one_by_one(patterns: Sequence[tuple[int, Pattern]]) -> Match:
    alternatives = [(number, pattern.alternatives()) for number, pattern in patterns]

    def match(event: Mapping[str, Any]) -> list[int]:
        return [number for number, some in alternatives if any(matches(each, event) for each in some)]

    return match


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
