"""Knows the currencies of ISO 4217, as the package of that name has them, and the digits of their minor units."""

from functools import cache

_USUAL = 2


@cache
def minor_digits(code: str) -> int:
    """Return the digits behind the point of an amount in minor units: 2 for GBP, 0 for JPY, 3 for KWD.

    A code without any, because the list has dropped it or never knew it, gets the two that nearly all have: an event
    that speaks of it was sound when it was written.
    """
    digits = _listed(code)
    return _USUAL if digits is None else digits


def is_currency(code: str) -> bool:
    """Tell whether prices can be in it: it is in the list, and has a minor unit, unlike gold or the code for tests."""
    return _listed(code) is not None


def in_words(amount: int, code: str) -> str:
    """Write minor units as people do: `24.00 GBP`."""
    digits = minor_digits(code)
    whole, part = divmod(amount, 10**digits)
    return f"{whole}.{part:0{digits}d} {code}" if digits else f"{whole} {code}"


def _listed(code: str) -> int | None:
    from iso4217 import Currency  # reads its list, a noticeable part of a process's start; many never ask

    try:
        digits: int | None = Currency(code).exponent
    except ValueError:
        return None
    return digits
