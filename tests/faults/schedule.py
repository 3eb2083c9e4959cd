"""Draws what goes wrong when: the same seed, the same faults at the same moments to the same processes.

Two lanes run side by side. Of what harms processes, servers and connections one fault is on at a time, and so of what
harms the work itself: the provider's moods, records, the rush. Every kind comes once before any comes again.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

CONSUMERS = ("orders", "inventory", "payments", "kitchen", "delivery", "loyalty", "alerts", "notifications")
PUBLISHERS = ("orders", "inventory", "payments", "kitchen", "delivery", "loyalty")
ARCHIVE = "ledger"
HARD, SOFT = "hard", "soft"
LEAD = 4.0
"""Seconds of fine weather before the first fault of each lane."""
BETWEEN = (0.5, 3.0)
"""Seconds from the end of one fault to the beginning of the next in its lane."""
GROWN = 180.0
"""Seconds of a run from which on some kinds last longer: a burst of an hour's run is one of a minute."""


@dataclass(frozen=True)
class Kind:
    """Says where a kind of fault strikes and for how many seconds; what it strikes may have no name.

    What `grows` lasts longer in a longer run, up to twenty times.
    """

    lane: str
    shortest: float
    longest: float
    targets: tuple[str, ...] = ("",)
    grows: bool = False


KINDS: Mapping[str, Kind] = {
    "kill": Kind(HARD, 0.2, 2, (*CONSUMERS, ARCHIVE)),
    "freeze": Kind(HARD, 11, 13, ("inventory", "payments", "kitchen", "loyalty", ARCHIVE)),
    "postgres-killed": Kind(HARD, 1, 4),
    "broker-killed": Kind(HARD, 1, 4),
    "postgres-disk-full": Kind(HARD, 4, 8),
    "broker-disk-full": Kind(HARD, 3, 6),
    "postgres-cut": Kind(HARD, 2, 6, ("inventory", "payments")),
    "postgres-deaf": Kind(HARD, 2, 6, ("inventory", "payments")),
    "broker-cut": Kind(HARD, 2, 6),
    "broker-deaf": Kind(HARD, 2, 6),
    "two-relays": Kind(HARD, 3, 6, PUBLISHERS),
    "rolling": Kind(HARD, 2, 4, CONSUMERS),
    "pool-exhausted": Kind(HARD, 3, 6, ("orders", "inventory", "payments")),
    "clock": Kind(HARD, 3, 6, CONSUMERS),
    "kill-before-commit": Kind(HARD, 3, 6, PUBLISHERS[:4]),
    "kill-before-answer": Kind(HARD, 3, 6, ("orders",)),
    "kill-before-outbox-commit": Kind(HARD, 3, 6, PUBLISHERS[:4]),
    "kill-after-charge": Kind(HARD, 3, 6, ("payments",)),
    "kill-before-offset": Kind(HARD, 3, 6, (*CONSUMERS[:6], ARCHIVE)),
    "provider-slow": Kind(SOFT, 3, 6),
    "provider-429": Kind(SOFT, 3, 6),
    "provider-500": Kind(SOFT, 3, 6),
    "provider-reset": Kind(SOFT, 3, 6),
    "provider-timeout": Kind(SOFT, 3, 6),
    "provider-twice": Kind(SOFT, 3, 6),
    "duplicates": Kind(SOFT, 1, 2),
    "poison": Kind(SOFT, 1, 2),
    "burst": Kind(SOFT, 2, 3, grows=True),
    "one-sku": Kind(SOFT, 5, 8),
}
SHORT = (
    "kill",
    "freeze",
    "postgres-killed",
    "broker-killed",
    "postgres-cut",
    "two-relays",
    "kill-before-commit",
    "kill-before-outbox-commit",
    "kill-after-charge",
    "provider-500",
    "provider-timeout",
    "duplicates",
    "poison",
    "burst",
    "one-sku",
)
"""What a run of a minute and a half has time for."""


@dataclass(frozen=True)
class Fault:
    """Is one thing that goes wrong: from `at` on, for `length` seconds; its target may be nothing with a name."""

    at: float
    kind: str
    target: str
    length: float

    @property
    def end(self) -> float:
        return self.at + self.length


def plan(seed: int, seconds: float, kinds: Sequence[str] = tuple(KINDS)) -> list[Fault]:
    """Draw the faults of a run of so many seconds, in the order in which they begin. Raises KeyError, ValueError."""
    lanes = [[kind for kind in sorted(set(kinds)) if KINDS[kind].lane == lane] for lane in (HARD, SOFT)]
    # A source for each lane: what is drawn for one leaves the other as it is.
    drawn = [
        fault for number, lane in enumerate(lanes) for fault in _lane(random.Random(f"{seed}/{number}"), lane, seconds)
    ]
    if missing := set(kinds) - {fault.kind for fault in drawn}:
        raise ValueError(f"{seconds:g} seconds are too short for {', '.join(sorted(missing))} as well")
    return sorted(drawn, key=lambda fault: (fault.at, fault.kind))


def _lane(dice: random.Random, kinds: Sequence[str], seconds: float) -> Iterator[Fault]:
    """Deal all kinds, shuffled anew each time, until what comes next would not end in time."""
    at = LEAD
    while kinds:
        for kind in dice.sample(kinds, len(kinds)):
            about = KINDS[kind]
            length = dice.uniform(about.shortest, about.longest)
            length *= min(max(seconds / GROWN, 1), 20) if about.grows else 1
            fault = Fault(round(at, 3), kind, dice.choice(about.targets), round(length, 3))
            if fault.end > seconds:
                return
            yield fault
            at = fault.end + dice.uniform(*BETWEEN)
