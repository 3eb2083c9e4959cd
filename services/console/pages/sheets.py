"""Shows the balance sheet: what every consumer did with its events, against what is archived."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import htpy as h
from htpy import Node

from services.console import elements
from services.console.asking import Ask, at
from services.console.elements import OVER, WAITS, WELL, WRONG, figure, identity, mark, moment, row, table
from services.console.losses import sums
from services.console.masked import masked

FATES = ("archived", "applied", "ignored", "parked", "held", "discarded", "in_flight", "copies", "missing", "twice")
COUNTS = ("missing", "twice")
"""How a consumer may differ from the archive."""
PATH, SCOPE = "/balance/{consumer}", "ledger.accept"
"""Where a difference is accepted, and what that takes."""


def count(number: int, *, is_wrong: bool = False) -> Node:
    """Show a number in a table, softly where there is none, and with a sign where there should be none."""
    if not number:
        return h.span(".soft.figure")["0"]
    return figure(mark(f"{number:,}", WRONG)) if is_wrong else figure(number)


def balance_sheet(ask: Ask, sheet: Mapping[str, Any]) -> Node:
    """Show what became of events at each consumer, and what does not add up."""
    rows = [_consumer(each) for each in sheet["consumers"]]
    heads = ("consumer", "adds up", *(figure(each.replace("_", " ")) for each in FATES))
    empty = "No consumer has been looked at yet: the ledger looks every minute."
    return [
        table(heads, rows, empty, "What became of events at each consumer"),
        _said(_differences(ask, sheet)),
        h.p(".soft")[
            "archived = applied + ignored + parked + held + discarded + in flight, ",
            "where none is missing and none twice. The look was ",
            moment(sheet["at"]),
            ".",
            [f" {each['consumer']} has no sheet. {each['why']}" for each in sheet["not_listed"]],
        ],
    ]


def _consumer(consumer: Mapping[str, Any]) -> Node:
    whole = sums(consumer["entries"])
    adds_up = mark("yes", WELL) if consumer["balances"] else mark("no", WRONG)
    to = at("/consumers/{service}", service=consumer["consumer"])
    cells = (
        count(whole.get(each, 0), is_wrong=each in ("missing", "twice") and not consumer["balances"]) for each in FATES
    )
    return row(h.a(href=to)[consumer["consumer"]], adds_up, *cells, to=to)


def _differences(ask: Ask, sheet: Mapping[str, Any]) -> Iterator[tuple[str, Node]]:
    """Yield what does not add up, what of that somebody has accepted, and what cannot be compared."""
    for consumer in sheet["consumers"]:
        name = consumer["consumer"]
        for each in consumer["differences"]:
            candidates = [
                [" ", identity(event, at("/events/{event}", event=event), short=8)] for event in each["candidates"]
            ]
            yield (
                WRONG,
                [
                    f"{name}: {difference(each)}.",
                    candidates and [" It may be", candidates],
                    " Once it is known why, it can be ",
                    _accepting(ask, name),
                ],
            )
        for each in consumer["accepted"]:
            yield (
                OVER,
                [
                    f"{name}: {difference(each)}; accepted by {each['by']}: {masked(ask, each)['reason']} ",
                    moment(each["accepted_at"]),
                ],
            )
        for each in consumer["open"]:
            yield WAITS, f"{name}: {each['topic']} partition {each['partition']} cannot be compared: {each['why']}"


def _accepting(ask: Ask, consumer: str) -> Node:
    """Lead those who may to where it is accepted; others are told the command, to ask somebody for it."""
    if ask.may(SCOPE):
        return [h.a(href=at(PATH, consumer=consumer))["accepted"], "."]
    return ["accepted with ", h.code[f"./sliceline balance accept {consumer} --reason …"]]


def difference(each: Mapping[str, Any]) -> str:
    """Say how much is missing or there twice, of which type, and where."""
    counts = elements.listed([f"{each[name]:,} {name}" for name in COUNTS if each[name]])
    return f"{counts} of {each['type']} in {each['topic']} partition {each['partition']}"


def _said(lines: Iterable[tuple[str, Node]]) -> Node:
    found = list(lines)
    return h.ul(".needs")[(h.li[mark("", kind), " ", text] for kind, text in found)] if found else None
