"""Says in a sentence whether anything is lost in the shop, from what its services tell."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from services.console.elements import WAITS, WELL, WRONG, counted, listed

LEDGER = "ledger"
Backlogs = Mapping[str, Mapping[str, Any] | None]
"""What waits in each service, as its /backlog tells; None of one that does not answer."""


class Verdict(NamedTuple):
    """Is the sentence, and how good or bad the news is."""

    kind: str
    text: str


def verdict(sheet: Mapping[str, Any] | None, backlogs: Backlogs, funnel: Mapping[str, Any] | None) -> Verdict:
    """Answer "Is anything lost?" from the balance sheet, what waits where, and where orders stand."""
    lost = [said for each in sheet["consumers"] for said in _lost(each)] if sheet else []
    uncompared = list(sheet["silent"]) if sheet else [LEDGER]
    if lost:
        return Verdict(WRONG, f"Yes: {listed(lost)}.{_unknown(uncompared, ' What else is lost')}")
    if uncompared:
        return Verdict(WRONG, _unknown(uncompared, "Whether anything is lost"))
    waiting = _waiting(backlogs, funnel)
    if waiting:
        return Verdict(WAITS, f"No, nothing is lost. But somebody is needed: {listed(waiting)}.")
    return Verdict(WELL, "No. Every event is accounted for, and nothing waits for anybody.")


def by_service(backlogs: Mapping[str, Any] | None) -> Backlogs:
    """Return what waits by the services' names, None for those that do not answer."""
    if backlogs is None:
        return {}
    known = {each["service"]: each for each in backlogs["services"]}
    return {**known, **dict.fromkeys(backlogs["silent"])}


def parked(backlog: Mapping[str, Any]) -> tuple[int, int]:
    """Count the events that are parked, one for each key, and those held behind them."""
    events, keys = backlog["parked"]["events"], backlog["parked"]["keys"]
    return min(events, keys), max(0, events - keys)


def sums(entries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Add up what became of all types of events at a consumer."""
    found: dict[str, int] = {}
    for entry in entries:
        for name, number in entry.items():
            if name != "type":
                found[name] = found.get(name, 0) + number
    return found


def _lost(consumer: Mapping[str, Any]) -> Iterator[str]:
    whole = sums({name: each[name] for name in ("missing", "twice")} for each in consumer["differences"])
    if missing := whole.get("missing"):
        yield f"{counted(missing, 'event is', 'events are')} missing at {consumer['consumer']}"
    if twice := whole.get("twice"):
        yield f"{counted(twice, 'event was', 'events were')} handled twice at {consumer['consumer']}"


def _unknown(silent: Sequence[str], what: str) -> str:
    return f"{what} cannot be said: {_does_not_answer(silent)}." if silent else ""


def _does_not_answer(names: Sequence[str]) -> str:
    return f"{listed(names)} {'do' if names[1:] else 'does'} not answer"


def _waiting(backlogs: Backlogs, funnel: Mapping[str, Any] | None) -> list[str]:
    known = [each for each in backlogs.values() if each is not None]
    letters = [parked(each) for each in known]
    counts = (
        (sum(first for first, _ in letters), "event is parked", "events are parked"),
        (sum(held for _, held in letters), "is held behind it", "are held behind"),
        (sum(each["outbox"]["refused"] for each in known), "event is refused by Kafka", "events are refused by Kafka"),
        (sum(jobs["given_up"] for each in known for jobs in each["jobs"]), "job is given up", "jobs are given up"),
        (sum(len(each["pauses"]) for each in known), "thing is paused", "things are paused"),
        (funnel["stuck_orders"] if funnel else 0, "order does not get on", "orders do not get on"),
    )
    silent = [name for name, each in backlogs.items() if each is None]
    said = [counted(number, one, many) for number, one, many in counts if number]
    said += [_does_not_answer(silent)] if silent else []
    others = sum(len(each["needs"]) for each in known)
    return said or ([f"{counted(others, 'thing')} below"] if others else [])
