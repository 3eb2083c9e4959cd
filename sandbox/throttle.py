"""Limits how many calls the provider accepts."""

import math
import time


class TokenBucket:
    """Admits `rate` calls a second on average, `burst` at once. A rate of 0 sets no limit."""

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self.rate = rate
        self.burst = max(1.0, rate) if burst is None else burst
        self._tokens = self.burst
        self._filled_at = time.monotonic()

    def take(self) -> int:
        """Admit one call and return 0, or return the seconds (rounded up, at least 1) until one would be admitted."""
        if self.rate == 0:
            return 0
        self._fill()
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return max(1, math.ceil((1 - self._tokens) / self.rate))

    def _fill(self) -> None:
        now = time.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now
