"""Lookups: from a value to the set of those whose condition it meets, without asking each.

A set is the bits of a whole number: bit 7 stands for the seventh conjunction. Unions and intersections of thousands are
then single instructions of Python.
"""

from bisect import bisect_right
from collections.abc import Iterable

from backbone.patterns.conditions import Cidr, Number, Numeric, Wildcard, address_of

Bits = int


class Prefixes:
    """Finds all prefixes of a text. Sorted, the longest of them is the nearest below the text, or begins that one."""

    def __init__(self, owners: dict[str, Bits]) -> None:
        """`owners` says who has which prefix."""
        self._sorted = sorted(owners)
        self._shorter: list[int] = []
        self._bits: list[Bits] = []
        for at, prefix in enumerate(self._sorted):
            shorter = self._longest_in(prefix, at - 1)
            self._shorter.append(shorter)
            self._bits.append(owners[prefix] | (self._bits[shorter] if shorter >= 0 else 0))

    def find(self, text: str) -> Bits:
        """Unite the owners of all prefixes of a text."""
        at = self._longest_in(text, bisect_right(self._sorted, text) - 1)
        return self._bits[at] if at >= 0 else 0

    def _longest_in(self, text: str, at: int) -> int:
        while at >= 0 and not text.startswith(self._sorted[at]):
            at = self._shorter[at]
        return at


class Ranges:
    """Finds all ranges of numbers that a number is in.

    The bounds cut the line of numbers into pieces. A piece differs from the one before by few owners; every so often
    the whole set is kept, so that few differences have to be followed.
    """

    _EVERY = 32

    def __init__(self, owners: Iterable[tuple[Numeric, int]]) -> None:
        """`owners` says whose number has which range; several of one owner are united."""
        steps = sorted(step for number, ranges in _by_owner(owners).items() for step in _steps(number, ranges))
        self._cuts = [(cut, side) for cut, side, _ in steps]
        self._turns = [number for _, _, number in steps]
        self._kept: list[Bits] = []
        bits = 0
        for at, number in enumerate(self._turns):
            if at % self._EVERY == 0:
                self._kept.append(bits)
            bits ^= 1 << number
        self._kept.append(bits)

    def find(self, number: Number) -> Bits:
        """Unite the owners of all ranges around a number."""
        end = bisect_right(self._cuts, (number, 0))
        whole = end // self._EVERY
        bits = self._kept[whole]
        for turned in self._turns[whole * self._EVERY : end]:
            bits ^= 1 << turned
        return bits


def _by_owner(owners: Iterable[tuple[Numeric, int]]) -> dict[int, list[Numeric]]:
    found: dict[int, list[Numeric]] = {}
    for condition, number in owners:
        found.setdefault(number, []).append(condition)
    return found


def _steps(number: int, ranges: list[Numeric]) -> list[tuple[Number, int, int]]:
    """List where an owner's ranges begin and end, none within another: before a number (0) or after it (1)."""
    united: list[list[tuple[Number, int]]] = []
    for low, high in sorted(map(_cuts, ranges)):
        if united and low <= united[-1][1]:
            united[-1][1] = max(united[-1][1], high)
        else:
            united.append([low, high])
    return [(*cut, number) for both in united for cut in both]


def _cuts(condition: Numeric) -> tuple[tuple[Number, int], tuple[Number, int]]:
    low = (float("-inf"), 0) if condition.low is None else (condition.low, 0 if condition.includes_low else 1)
    high = (float("inf"), 1) if condition.high is None else (condition.high, 1 if condition.includes_high else 0)
    return low, high


class Networks:
    """Finds all networks that an address is in: one question for each length of network that there is."""

    def __init__(self, owners: dict[Cidr, Bits]) -> None:
        self._lengths: dict[tuple[int, int], dict[int, Bits]] = {}
        for network, bits in owners.items():
            length, address = network.network
            known = self._lengths.setdefault((length, network.free), {})
            known[address >> network.free] = known.get(address >> network.free, 0) | bits

    def find(self, text: str) -> Bits:
        """Unite the owners of all networks that the address in a text is in."""
        address = address_of(text)
        if address is None:
            return 0
        bits = 0
        for (length, free), known in self._lengths.items():
            if length == address[0]:
                bits |= known.get(address[1] >> free, 0)
        return bits


class Wildcards:
    """Finds all wildcards that a text looks like. Only those are asked of which some piece is in the text.

    The piece is the wildcard's beginning or its end, whichever is longer; without both, a few characters of its middle.
    """

    _PIECE = 4

    def __init__(self, owners: dict[Wildcard, Bits]) -> None:
        self._asked = list(owners.items())
        heads: dict[str, Bits] = {}
        tails: dict[str, Bits] = {}
        self._middles: dict[int, dict[str, Bits]] = {}
        for at, wildcard in enumerate(owners):
            head, tail = wildcard.parts[0], wildcard.parts[-1]
            if head or tail:
                side, piece = (heads, head) if len(head) >= len(tail) else (tails, tail[::-1])
                side[piece] = side.get(piece, 0) | 1 << at
            else:
                piece = max(wildcard.parts, key=len)[: self._PIECE]
                known = self._middles.setdefault(len(piece), {})
                known[piece] = known.get(piece, 0) | 1 << at
        self._heads, self._tails = Prefixes(heads), Prefixes(tails)

    def find(self, text: str) -> Bits:
        """Unite the owners of all wildcards that a text looks like."""
        candidates = self._heads.find(text) | self._tails.find(text[::-1])
        for length, known in self._middles.items():
            for start in range(len(text) - length + 1):
                candidates |= known.get(text[start : start + length], 0)
        found = 0
        for at in numbers_in(candidates):
            wildcard, bits = self._asked[at]
            if wildcard.meets(text):
                found |= bits
        return found


def numbers_in(bits: Bits) -> Iterable[int]:
    """List whom a set holds."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
