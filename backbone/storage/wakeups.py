"""Lets whoever has nothing to do sleep: a commit wakes the relay and the workers that it leaves work for."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

SLEEP = timedelta(seconds=5)
"""How long they sleep at most when nothing wakes them: what was told and not heard is found then."""
_OUTBOX, _CONSUMER, _ACTS = "outbox", "consumer", "acts"


class Wakeups:
    """Knows who sleeps in this process, and what there is for those of other processes, which `bell.py` tells."""

    def __init__(self) -> None:
        self.is_listening = False
        """Whether what other processes commit is heard of here."""
        self.untold = asyncio.Event()
        """Set when something was committed that nobody in this process works at."""
        self._untold: set[str] = set()
        self._events: dict[str, asyncio.Event] = {}

    @property
    def outbox(self) -> asyncio.Event:
        """The event that is set when there is something to publish; to be asked for by the relay alone."""
        return self._events.setdefault(_OUTBOX, asyncio.Event())

    @property
    def consumer(self) -> asyncio.Event:
        """The event that is set when the consumer may have been paused, or resumed; to be asked for by it alone."""
        return self._events.setdefault(_CONSUMER, asyncio.Event())

    @property
    def acts(self) -> asyncio.Event:
        """The event that is set when acts wait for their places; to be asked for by who gives them alone."""
        return self._events.setdefault(_ACTS, asyncio.Event())

    def jobs(self, kind: str) -> asyncio.Event:
        """Return the event that is set when a job of this kind is due, or soon; to be asked for by its worker alone."""
        return self._events.setdefault(_of_jobs(kind), asyncio.Event())

    def committed(self, published: bool, kinds: Iterable[str]) -> None:
        """Wake whoever has work after a commit."""
        if published:
            self.ring(_OUTBOX, else_tell=True)
        for kind in kinds:
            self.ring(_of_jobs(kind), else_tell=True)

    def noted(self) -> None:
        """Wake who gives acts their places, here or in another process."""
        self.ring(_ACTS, else_tell=True)

    def rouse(self, what: str, name: str) -> None:
        """Wake, here and in all other processes, the consumer, or the workers of this kind of job."""
        concerned = _of_jobs(name) if what == "job" else _CONSUMER
        self.ring(concerned)
        self.tell({concerned})

    def ring(self, name: str, *, else_tell: bool = False) -> None:
        """Wake whoever works at this here; where nobody does, other processes may be told."""
        if (waiting := self._events.get(name)) is not None:
            waiting.set()
        elif else_tell:
            self.tell({name})

    def tell(self, names: Iterable[str]) -> None:
        """Have other processes told that there is work of these names."""
        self._untold.update(names)
        self.untold.set()

    def ring_all(self) -> None:
        """Wake everybody."""
        for waiting in self._events.values():
            waiting.set()

    def take_untold(self) -> set[str]:
        """Return what other processes are to be told, which counts as told from now on."""
        names, self._untold = self._untold, set()
        self.untold.clear()
        return names


def _of_jobs(kind: str) -> str:
    return f"jobs {kind}"
