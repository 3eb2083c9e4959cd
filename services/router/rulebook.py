"""The rules that are at work, compiled, in the memory of a process. Made anew when some rule has changed."""

from collections.abc import Iterable

import msgspec

from backbone.patterns.index import Index
from backbone.patterns.parsing import parse
from backbone.patterns.pattern import Pattern
from services.router.decisions import Arrival, Rule


class Rulebook:
    """Holds the rules of all buses as of one revision."""

    def __init__(self, revision: str, rules: Iterable[Rule], earlier: "Rulebook | None" = None) -> None:
        """`earlier`: the book before this one, whose patterns need not be parsed again."""
        self.revision = revision
        self.patterns: dict[bytes, Pattern] = {}
        known = earlier.patterns if earlier else {}
        buses: dict[str, list[tuple[Rule, Pattern]]] = {}
        for rule in rules:
            text = msgspec.json.encode(rule.content.pattern)
            pattern = self.patterns[text] = known.get(text) or parse(rule.content.pattern)
            buses.setdefault(rule.content.bus, []).append((rule, pattern))
        self._rules = {rule.id: rule for pairs in buses.values() for rule, _ in pairs}
        self._indices = {bus: Index([(rule.id, each) for rule, each in pairs]) for bus, pairs in buses.items()}

    def match(self, arrival: Arrival) -> list[Rule]:
        """Give the rules of the event's bus that match it."""
        index = self._indices.get(arrival.bus)
        return [self._rules[rule] for rule in index.match(arrival.event)] if index else []
