"""Draws a run: for every goal, how much of it was reached."""

from collections.abc import Sequence
from pathlib import Path

import pygal  # type: ignore[import-untyped]
from pygal.style import Style  # type: ignore[import-untyped]

from bench.result import Row, short

REACHED, MISSED = "#2e7d32", "#c62828"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw a bar for each row with a goal, as a share of the goal: what reaches the line at 1 is good."""
    judged = [row for row in rows if row.goal]
    chart = pygal.HorizontalBar(
        title="Measured / goal (logarithmic; 1 and above is good)",
        logarithmic=True,
        show_legend=False,
        height=60 + 30 * max(4, len(judged)),
        width=1100,
        print_values=True,
        style=Style(background="white", plot_background="white", value_font_size=11, label_font_size=11),
    )
    # pygal draws from the bottom up.
    chart.x_labels = [f"{row.bench}: {row.case} (against {row.peer})" for row in reversed(judged)]
    chart.add("", [_bar(row) for row in reversed(judged)])
    chart.render_to_file(str(path))


def _bar(row: Row) -> dict[str, object]:
    assert row.goal
    share = max(row.ratio / row.goal, 0.001)
    label = f"{short(row.ratio)} of {short(row.goal)}"
    return {"value": share, "label": label, "color": REACHED if row.reached else MISSED, "formatter": lambda _: label}
