"""Keeps what a customer asked for and was told, and finds what contradicts it in the end: as Jepsen checks a history.

`ok` was done, `failed` was not, and of `unknown` nobody knows: silence, a lost connection, or an answer that says so.
An order may be asked for several times under its Idempotency-Key, and is one order for all that.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TextIO

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"
PLACE, CANCEL, READ = "place", "cancel", "read"
ENDS = ("completed", "rejected", "cancelled")


@dataclass(frozen=True)
class Told:
    """Is one request and its answer: `key` is the Idempotency-Key of the order it is about, which names its customer.

    `order` and `status` are what the answer said; `began` and `ended` are seconds since the run began.
    """

    what: str
    key: str
    outcome: str
    began: float
    ended: float
    code: int = 0
    order: str = ""
    status: str = ""


@dataclass(frozen=True)
class Known:
    """Is an order as orders has it in the end."""

    id: str
    key: str
    status: str


@dataclass
class History:
    """Is appended to, and written to a file line by line, so that a run that dies leaves it behind."""

    file: TextIO
    told: list[Told] = field(default_factory=list)

    def add(self, told: Told) -> None:
        self.told.append(told)
        self.file.write(json.dumps(asdict(told)) + "\n")

    def accepted(self) -> set[str]:
        """The ids of all orders that were accepted."""
        return {each.order for each in self.told if each.what == PLACE and each.outcome == OK}

    def keys(self) -> set[str]:
        return {each.key for each in self.told}


def contradictions(told: Sequence[Told], known: Sequence[Known]) -> Iterator[str]:
    """Say what orders holds that contradicts what its customers were told, a sentence for each."""
    asked: dict[str, list[Told]] = defaultdict(list)
    there: dict[str, list[Known]] = defaultdict(list)
    for each in told:
        asked[each.key].append(each)
    for order in known:
        there[order.key].append(order)
    for key, answers in asked.items():
        yield from _placed(key, [each for each in answers if each.what == PLACE], there[key])
        yield from _seen(answers, {order.id: order for order in there[key]})
    for key in there.keys() - asked.keys():
        yield f"order {there[key][0].id} of {key} was asked for by nobody"


def _placed(key: str, answers: Sequence[Told], there: Sequence[Known]) -> Iterator[str]:
    """One that was accepted is there once, one that nobody knows of once or not at all, and all others are not."""
    ids = [order.id for order in there]
    said = {each.order for each in answers if each.outcome == OK}
    if len(said) > 1:
        yield f"under the key {key} several orders were accepted: {sorted(said)}"
    for lost in said - set(ids):
        yield f"order {lost} was accepted under the key {key} and is not there"
    if len(ids) > 1:
        yield f"the key {key} has {len(ids)} orders: {sorted(ids)}"
    if ids and all(each.outcome == FAILED for each in answers):
        yield f"order {ids[0]} is there, and under its key {key} only refusals were told"


def _seen(answers: Sequence[Told], orders: Mapping[str, Known]) -> Iterator[str]:
    """An order that was accepted is seen from then on; an end that was told is the end."""
    accepted = min((each.ended for each in answers if each.what == PLACE and each.outcome == OK), default=None)
    for each in answers:
        if each.what == READ and each.code == 404 and accepted is not None and each.began > accepted:
            yield f"order {each.order} was accepted at {accepted:.3f} and was not found at {each.began:.3f}"
        last = orders.get(each.order)
        if last is None:
            continue
        if each.status in ENDS and each.status != last.status:
            yield f"order {each.order} was {each.status} at {each.ended:.3f} and is {last.status} in the end"
