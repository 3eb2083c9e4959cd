"""Measures in rounds: every contestant once, in turn, so that what slows the machine for a while slows all of them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from bench.meter import Reading
from bench.result import Results, better, median

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Sample:
    """Holds one measurement of a contestant: its figure, others found on the way, and what it cost."""

    value: float
    reading: Reading
    more: Mapping[str, float] = field(default_factory=dict)


Contestant = Callable[[], Sample]


@dataclass
class Series:
    """Holds the rounds that count. A ratio is taken within each round; the median of these is the result."""

    rounds: list[dict[str, Sample]]
    discarded: int = 0

    @property
    def names(self) -> list[str]:
        return list(self.rounds[0])

    def value(self, name: str, figure: str = "") -> float:
        """Return the median of a contestant's figure, or of another that its samples carry."""
        return median([self._figure(each[name], figure) for each in self.rounds])

    def ratio(self, ours: str, theirs: str, figure: str = "", *, less: bool = False) -> float:
        """Compute how many times better `ours` is than `theirs`."""
        pairs = [(self._figure(each[ours], figure), self._figure(each[theirs], figure)) for each in self.rounds]
        return median([better(*pair, less=less) for pair in pairs])

    def cpu(self, name: str) -> dict[str, float]:
        """Return the median CPU seconds per second of each process while the contestant was measured."""
        samples = [each[name] for each in self.rounds]
        cores = {
            part: median([each.reading.cpu[part] / each.reading.seconds for each in samples])
            for part in samples[0].reading.cpu
        }
        return {part: busy for part, busy in cores.items() if busy >= 0.01}

    @property
    def disturbed(self) -> int:
        """The number of rounds that count and yet were disturbed, because no calmer ones were to be had."""
        return sum(_foreign(each) > 0 for each in self.rounds)

    def account(self, results: Results, name: str) -> None:
        """Add the samples to the results, and a note about disturbances."""
        results.samples[name] = [{who: asdict(sample) for who, sample in each.items()} for each in self.rounds]
        if self.discarded or self.disturbed:
            results.note(
                f"{name}: {self.discarded} disturbed rounds thrown away, {self.disturbed} of the {len(self.rounds)}"
                " that count were disturbed by other programs too (no calmer ones were to be had)."
            )

    def _figure(self, sample: Sample, figure: str) -> float:
        return sample.more[figure] if figure else sample.value


def interleave(contestants: Mapping[str, Contestant], rounds: int, tell: Progress, *, spare: int) -> Series:
    """Measure every contestant once a round. Up to `spare` disturbed rounds are thrown away and repeated."""
    kept: list[dict[str, Sample]] = []
    thrown: list[dict[str, Sample]] = []
    while len(kept) < rounds:
        found = _round(contestants, f"round {len(kept) + 1} of {rounds}", tell)
        if _foreign(found) and len(thrown) < spare:
            thrown.append(found)
        else:
            kept.append(found)
    return Series(*_calmest(kept, thrown))


def _round(contestants: Mapping[str, Contestant], which: str, tell: Progress) -> dict[str, Sample]:
    found: dict[str, Sample] = {}
    for name, measure in contestants.items():
        tell(f"{which}: {name}")
        found[name] = measure()
    return found


def _calmest(kept: list[dict[str, Sample]], thrown: list[dict[str, Sample]]) -> tuple[list[dict[str, Sample]], int]:
    """Choose the calmest rounds: a thrown one takes the place of a kept one that was disturbed even more."""
    everything = sorted(thrown + kept, key=_foreign)
    return everything[: len(kept)], len(thrown)


def _foreign(found: Mapping[str, Sample]) -> float:
    """Return how many cores others kept busy in a round's worst sample; 0 when all of its samples are sound."""
    return max((each.reading.foreign for each in found.values() if each.reading.disturbed), default=0.0)
