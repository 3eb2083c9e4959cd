"""Shows how many orders were placed and ended in the last quarter of an hour, and what was changed meanwhile."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import htpy as h
from htpy import Node

from services.console.elements import counted, figure, row, table
from services.console.wording import when

KINDS = {"placed": ("placed",), "completed": ("completed",), "otherwise": ("rejected", "cancelled")}
"""What the chart draws: the statuses that each of its kinds sums up."""
NAMES = {"placed": "placed", "completed": "completed", "otherwise": "rejected or cancelled"}


class Mark(NamedTuple):
    """Is a moment at which something was changed, and what."""

    at: datetime
    text: str


class Step(NamedTuple):
    """Is a step of time: how many orders were of which kind in it, and what was changed."""

    begins_at: datetime
    orders: dict[str, int]
    changed: tuple[str, ...]


def chart(throughput: Mapping[str, Any], marks: Sequence[Mark]) -> Node:
    """Show throughput in a sentence, as a chart that the browser draws, and as a table."""
    steps = divided(throughput, marks)
    if not any(number for step in steps for number in step.orders.values()):
        return h.div(".empty")[
            "No order was placed in the last quarter of an hour, and none ended. ",
            h.code["./sliceline order margherita:2"],
            " places one.",
        ]
    return [
        h.p("#throughput-said")[said(steps)],
        h.div(
            "#throughput.plot",
            {"hx-morph-skip-children": ""},
            role="img",
            aria_labelledby="throughput-said",
            data_drawn=_drawn(steps, throughput["step_seconds"], marks),
        ),
        _legend(throughput["step_seconds"], bool(marks)),
        h.details[h.summary["The same as a table"], _table(steps)],
    ]


def divided(throughput: Mapping[str, Any], marks: Sequence[Mark]) -> list[Step]:
    """Divide throughput into its steps, the first one first."""
    orders = {each["status"]: each["orders"] for each in throughput["statuses"]}
    since, length = when(throughput["since"]), timedelta(seconds=throughput["step_seconds"])
    return [
        Step(
            begins_at := since + number * length,
            {kind: sum(orders[status][number] for status in statuses) for kind, statuses in KINDS.items()},
            tuple(mark.text for mark in marks if begins_at <= mark.at < begins_at + length),
        )
        for number in range(len(orders["placed"]))
    ]


def said(steps: Sequence[Step]) -> str:
    """Say in a sentence how many orders were placed and ended."""
    placed, completed, otherwise = (sum(step.orders[kind] for step in steps) for kind in KINDS)
    return (
        f"In the last quarter of an hour {counted(placed, 'order was', 'orders were')} placed, "
        f"{completed:,} completed, and {otherwise:,} rejected or cancelled."
    )


def _drawn(steps: Sequence[Step], seconds: int, marks: Sequence[Mark]) -> str:
    """Write what the browser draws as JSON, times in seconds since 1970."""
    numbers = {kind: [step.orders[kind] for step in steps] for kind in KINDS}
    changes = [[mark.at.timestamp(), mark.text] for mark in marks]
    return json.dumps({"since": steps[0].begins_at.timestamp(), "step": seconds, **numbers, "changes": changes})


def _legend(seconds: int, is_marked: bool) -> Node:
    return h.ul(".key")[
        h.li[f"Orders in each {seconds} seconds:"],
        (h.li(class_=kind)[name] for kind, name in NAMES.items()),
        is_marked and h.li(".change")["something was changed"],
    ]


def _table(steps: Sequence[Step]) -> Node:
    heads = (*map(figure, ("from", *NAMES.values())), "what was changed")
    return table(heads, _rows(steps), "", "Orders in the last quarter of an hour, without the times at which none was")


def _rows(steps: Sequence[Step]) -> Iterator[Node]:
    for step in reversed(steps):
        if step.changed or any(step.orders.values()):
            yield row(
                *map(figure, (_clock(step.begins_at), *step.orders.values())),
                "; ".join(step.changed),
                name=f"step-{step.begins_at.timestamp():.0f}",
            )


def _clock(moment: datetime) -> Node:
    return h.time(datetime=moment.isoformat(), data_clock=True)[f"{moment:%H:%M:%S} UTC"]
