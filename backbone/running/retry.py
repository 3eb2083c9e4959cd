"""Says when to try again. A policy is data that answers; the loop that asks knows nothing of it."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class RetryPolicy:
    """Backs off exponentially, bounded by the number of attempts, the time since the first one, both or neither."""

    first: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    longest: timedelta = timedelta(seconds=60)
    attempts: int | None = None
    within: timedelta | None = None

    def next_delay(self, attempt: int, since_first: timedelta) -> timedelta | None:
        """Return the wait after the given failed attempt (1 = the first); None when it was the last."""
        if self.attempts is not None and attempt >= self.attempts:
            return None
        if self.within is not None and since_first >= self.within:
            return None
        # In seconds: a timedelta overflows after some fifty doublings, a float does not.
        grown = self.first.total_seconds() * self.factor ** min(attempt - 1, 64)
        return timedelta(seconds=min(self.longest.total_seconds(), grown))


FOR_EVER = RetryPolicy()
"""A passing fault is never given up: an event must not be skipped because a server was away."""
