"""Applies one rule for whole numbers wherever JSON comes in: a body, a contract, an event.

JSON Schema counts every number without a fraction as an integer, however it is written: 1, 1.0 and 1e0 are the same
(2020-12 Validation, 6.1.1). Contracts are checked so; the readers of bodies and events know `int` and `float` instead,
and are helped here. A float stands for one whole number only below 2^53; a larger one may have been another number.
"""

from typing import Any

EXACT = 2**53


def whole(value: Any) -> Any:
    """Return the int that a float without a fraction stands for, and anything else as it is."""
    if isinstance(value, float) and abs(value) < EXACT and value.is_integer():
        return int(value)
    return value


def all_whole(value: Any) -> Any:
    """Do the same for all numbers of a document."""
    if isinstance(value, dict):
        return {name: all_whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [all_whole(inner) for inner in value]
    return whole(value)
