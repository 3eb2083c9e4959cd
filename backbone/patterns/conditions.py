"""The conditions of a pattern: what a value in an event has to be. Each says whether a value meets it, and in words."""

from collections.abc import Sequence
from ipaddress import AddressValueError, IPv6Address
from typing import TypeGuard

import msgspec
import orjson

Number = int | float
Scalar = str | int | float | bool | None
Address = tuple[int, int]
"""How many bits an IP address has, and the number that they are."""


class Condition(msgspec.Struct, frozen=True):
    """Tells of one value in an event whether it will do."""

    def meets(self, value: Scalar) -> bool:
        """Tell whether a value meets the condition."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """What the value has to be, after "has to"."""
        raise NotImplementedError


class Equals(Condition, frozen=True):
    """Wants this value. Numbers are compared as numbers (300 is 3e2); true is no number, and "1" is not 1."""

    value: Scalar

    def meets(self, value: Scalar) -> bool:
        return is_same(self.value, value)

    @property
    def words(self) -> str:
        return f"be {shown(self.value)}"


class EqualsIgnoringCase(Condition, frozen=True):
    """Wants this text, in whatever case."""

    text: str

    def meets(self, value: Scalar) -> bool:
        return isinstance(value, str) and folded(value) == folded(self.text)

    @property
    def words(self) -> str:
        return f"be {shown(self.text)} in whatever case"


class Prefix(Condition, frozen=True):
    """Wants a text that begins with this."""

    text: str
    ignores_case: bool = False

    def meets(self, value: Scalar) -> bool:
        return isinstance(value, str) and _cased(self, value).startswith(_cased(self, self.text))

    @property
    def words(self) -> str:
        return f"begin with {shown(self.text)}{_whatever_case(self)}"


class Suffix(Condition, frozen=True):
    """Wants a text that ends with this."""

    text: str
    ignores_case: bool = False

    def meets(self, value: Scalar) -> bool:
        return isinstance(value, str) and _cased(self, value).endswith(_cased(self, self.text))

    @property
    def words(self) -> str:
        return f"end with {shown(self.text)}{_whatever_case(self)}"


class Wildcard(Condition, frozen=True):
    """Wants a text made of these parts in this order, with anything between two of them, or nothing.

    One part is the whole text. Parts at the ends may be empty: `*.jar` has the parts "" and ".jar".
    """

    parts: tuple[str, ...]
    written: str

    def meets(self, value: Scalar) -> bool:
        return isinstance(value, str) and _has_parts(value, self.parts)

    @property
    def words(self) -> str:
        return f"look like {shown(self.written)}"


class Numeric(Condition, frozen=True):
    """Wants a number above `low` and below `high`; one that is included, or at least that."""

    low: Number | None = None
    high: Number | None = None
    includes_low: bool = False
    includes_high: bool = False

    def meets(self, value: Scalar) -> bool:
        return is_number(value) and self._is_above_low(value) and self._is_below_high(value)

    def _is_above_low(self, value: Number) -> bool:
        return self.low is None or value > self.low or (self.includes_low and value == self.low)

    def _is_below_high(self, value: Number) -> bool:
        return self.high is None or value < self.high or (self.includes_high and value == self.high)

    @property
    def words(self) -> str:
        low = [f"{'>=' if self.includes_low else '>'} {self.low}"] if self.low is not None else []
        high = [f"{'<=' if self.includes_high else '<'} {self.high}"] if self.high is not None else []
        return f"be a number {' and '.join(low + high)}"


class Cidr(Condition, frozen=True):
    """Wants the text of an IP address within this network."""

    network: Address
    free: int
    """How many bits at the end an address in it may have of its own."""
    written: str

    def meets(self, value: Scalar) -> bool:
        address = address_of(value)
        return address is not None and self.holds(address)

    def holds(self, address: Address) -> bool:
        """Tell whether an address lies in the network."""
        return address[0] == self.network[0] and address[1] >> self.free == self.network[1] >> self.free

    @property
    def words(self) -> str:
        return f"be an address in {self.written}"


class AnythingBut(Condition, frozen=True):
    """Wants a value that is there and meets none of these."""

    refused: tuple[Condition, ...]

    def meets(self, value: Scalar) -> bool:
        return not any(each.meets(value) for each in self.refused)

    @property
    def words(self) -> str:
        return _listed([f"not {each.words}" for each in self.refused], " and ")


class Exists(Condition, frozen=True):
    """Wants any value, also null."""

    def meets(self, value: Scalar) -> bool:  # noqa: ARG002
        return True

    @property
    def words(self) -> str:
        return "be there"


class Absent(Condition, frozen=True):
    """Wants no value. No value meets it; whoever looks for values has to ask whether there were any."""

    def meets(self, value: Scalar) -> bool:  # noqa: ARG002
        return False

    @property
    def words(self) -> str:
        return "be absent"


def in_words(conditions: Sequence[Condition]) -> str:
    """Say what a value has to be that meets one of these conditions."""
    return f"has to {_listed([each.words for each in conditions], ' or ')}"


def is_number(value: object) -> TypeGuard[Number]:
    """Tell whether a JSON value is a number; in Python true and false are numbers too."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_same(first: object, second: object) -> bool:
    """Tell whether two JSON values that are neither objects nor arrays are the same."""
    if isinstance(first, bool) or isinstance(second, bool) or first is None or second is None:
        return first is second
    return first == second


_OCTETS = {str(number): number for number in range(256)}


def address_of(value: object) -> Address | None:
    """Read the text of an IP address; None for anything else, also an address with a zone or with leading zeros."""
    if not isinstance(value, str):
        return None
    try:
        if ":" in value:
            return (128, int(IPv6Address(value))) if "%" not in value else None
        first, second, third, fourth = value.split(".")  # what the library does with these takes ten times as long
        return 32, _OCTETS[first] << 24 | _OCTETS[second] << 16 | _OCTETS[third] << 8 | _OCTETS[fourth]
    except (AddressValueError, KeyError, ValueError):
        return None


class _Folding(dict[int, str]):
    """Unicode's simple case folding: one character to one, so that beginnings and ends stay where they are."""

    def __missing__(self, code: int) -> str:
        plain = chr(code)
        self[code] = next((each for each in (plain.casefold(), plain.lower()) if len(each) == 1), plain)
        return self[code]


_FOLDING = _Folding()


def folded(text: str) -> str:
    """Bring a text to the form that all its spellings in upper and lower case share."""
    return text.lower() if text.isascii() else text.translate(_FOLDING)


def shown(value: object) -> str:
    """Write a JSON value as JSON, cut where it is long."""
    text = orjson.dumps(value).decode() if not isinstance(value, int) else str(value).lower()
    return text if len(text) <= 80 else f"{text[:79]}…"


def _cased(condition: Prefix | Suffix, text: str) -> str:
    return folded(text) if condition.ignores_case else text


def _whatever_case(condition: Prefix | Suffix) -> str:
    return " in whatever case" if condition.ignores_case else ""


def _has_parts(value: str, parts: tuple[str, ...]) -> bool:
    """Take each part at its first place after the one before: no later place can leave more room for the rest."""
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return value == first
    end = len(value) - len(last)
    at = len(first)
    if at > end or not value.startswith(first) or not value.endswith(last):
        return False
    for part in parts[1:-1]:
        found = value.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


MOST_WORDS = 8
"""Conditions of a field that are told in words; a pattern may list hundreds."""


def _listed(words: Sequence[str], between: str) -> str:
    more = len(words) - MOST_WORDS
    return between.join([*words[:MOST_WORDS], *([f"{more} more"] if more > 0 else [])])
