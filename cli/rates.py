"""Reads the pace that options are given."""

from cli.console import fail

SLOWEST, FASTEST = 0.001, 100_000
"""Events a second, as services take them."""


def rate_of(rate: float | None) -> float | None:
    """Return a pace; end the command when it is none: no number, or one without an end."""
    if rate is not None and not SLOWEST <= rate <= FASTEST:
        fail(f"--rate takes a number of events a second, {SLOWEST} to {FASTEST:,}, not {rate:g}.", code=2)
    return rate
