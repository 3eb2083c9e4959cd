"""Holds a figure with its ratio and its goal, and the collection that a run makes."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """Is one line of the results. A ratio above the goal is good, also where less is better (see `better`)."""

    bench: str
    case: str
    ours: float
    peer: str
    theirs: float
    unit: str
    ratio: float
    goal: float | None = None

    def line(self) -> str:
        """Write the row as JSON, with the digits that a measurement is worth."""
        return json.dumps({name: _rounded(value) for name, value in asdict(self).items()}, ensure_ascii=False)

    @property
    def reached(self) -> bool | None:
        """Tell whether the goal is reached; None without one."""
        return None if self.goal is None else self.ratio >= self.goal


def better(ours: float, theirs: float, *, less: bool = False) -> float:
    """Compute how many times better we are: with `less`, the smaller figure is the better one."""
    above, below = (theirs, ours) if less else (ours, theirs)
    return above / below if below else 0.0


@dataclass
class Results:
    """Holds what one bench found: rows to judge, notes for people, and every sample behind them."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: dict[str, Any] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        self.rows.append(row)

    def note(self, text: str) -> None:
        self.notes.append(text)


def figures(values: Mapping[str, float]) -> str:
    """Write `name 1.23, other 4.56`, the largest first."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {short(value)}" for name, value in ordered)


def short(value: float) -> str:
    """Write three significant digits, with thousands kept whole."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def median(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) and abs(value) < 1000 else _whole(value)


def _whole(value: Any) -> Any:
    return round(value, 1) if isinstance(value, float) else value
