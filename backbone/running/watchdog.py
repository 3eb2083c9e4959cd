"""Ends a process in which a part no longer beats, so that its supervisor starts it anew."""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence

from backbone.running.pulse import Pulse

STUCK = 70
"""The exit code of a process that the watchdog ended."""


class Watchdog:
    """Watches pulses from a thread of its own, so that it also sees an event loop that no longer turns.

    It counts its own looks, not the clock: a process that was frozen as a whole, and thawed, is not stuck. Nor is a
    part that waits for something which has a deadline of its own, and said so.
    """

    def __init__(self, pulses: Sequence[Pulse], stuck_after: float, end: Callable[[str], None] | None = None) -> None:
        self._pulses = pulses
        self._looks_allowed = max(1, round(stuck_after))
        self._end = end or _end_process
        self._seen = {pulse.name: (pulse.beats, 0) for pulse in pulses}

    def start(self) -> None:
        """Start to look once a second."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(1)
            self.look()

    def look(self) -> None:
        """Note which pulses have beaten since the last look; end the process for one that has not for too long."""
        for pulse in self._pulses:
            beats, silent = self._seen[pulse.name]
            silent = 0 if pulse.beats != beats else silent + 1
            self._seen[pulse.name] = (pulse.beats, silent)
            if silent >= max(self._looks_allowed, pulse.lasting + 1):
                self._end(pulse.name)


def _end_process(name: str) -> None:
    sys.stderr.write(f"watchdog: {name} makes no progress; ending the process so that it is started anew\n")
    sys.stderr.flush()
    os._exit(STUCK)
