"""Goes over the log of acts of a service: backwards for whoever reads it, and whole, to see whether it is as it was."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from backbone.events.chain import Broken, Chain, Head
from services.console.asking import Ask, NotLoggedIn, Refused
from services.console.everywhere import everything

PAGE = 500
"""Rows asked for at once."""
MOST_ROWS = 50_000
"""Rows of one log that a page goes over; longer ones are for the command line."""
LEDGER = "ledger"


@dataclass(frozen=True)
class Wanted:
    """Says which acts are looked for; what is empty or None is any."""

    actor: str = ""
    act: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def has(self, act: Mapping[str, Any]) -> bool:
        """Tell whether an act is one of these."""
        at = datetime.fromisoformat(act["at"])
        return (
            self.actor.lower() in act["actor"].lower()
            and self.act.lower() in f"{act['what']} {act['path']}".lower()
            and self.outcome in ("", act["outcome"])
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )


@dataclass(frozen=True)
class Stretch:
    """Holds acts of a log that lie next to each other, the newest first, and how many rows the log has."""

    acts: tuple[Mapping[str, Any], ...]
    first: int
    last: int
    waiting: int


async def stretch(ask: Ask, service: str, most: int, before: int | None = None) -> Stretch:
    """Return the acts before a row's number, or the last ones."""
    end = await ask.get(service, "/audit", limit=1)
    top = end["last"] if before is None else min(before - 1, end["last"])
    after = max(0, top - most)
    page = await ask.get(service, "/audit", after=after, limit=most)
    rows = [each for each in page["items"] if each["number"] <= top]
    acts = tuple(act_of(service, each) for each in reversed(rows))
    return Stretch(acts, after + 1, end["last"], end["waiting"])


def act_of(service: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read an act from its row, with who did it in clear."""
    entry: dict[str, Any] = msgspec.json.decode(row["entry"])
    return {**entry, "actor": row["actor"], "service": service, "number": row["number"]}


@dataclass(frozen=True)
class Verified:
    """Says how the log of a service is. `said` is what is wrong with it, or why nobody can tell."""

    service: str
    is_whole: bool
    rows: int
    told: int | None
    """How many events in the archive tell of it; None where there is no ledger to be asked."""
    said: str = ""


async def verify(ask: Ask, service: str) -> Verified:
    """Go over a whole log, and over what the archive was told of it."""
    try:
        heads = await _heads(ask, service)
        count = await _rows(ask, service, Chain(heads or ()))
    except (Broken, Refused) as error:
        return Verified(service, False, 0, None, str(error))
    return Verified(service, True, count, None if heads is None else len(heads))


class Verifications:
    """Goes over logs for whoever asks, one after the other: who asks for what is gone over already waits for that."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, ...], asyncio.Task[list[Verified]]] = {}

    async def verify_all(self, ask: Ask, services: Sequence[str]) -> list[Verified]:
        """Go over several logs at the same time. Raises NotLoggedIn."""
        key = (*services, "for", *_who(ask))
        running = self._running.get(key)
        if running is not None:
            try:
                return await asyncio.shield(running)
            except NotLoggedIn:  # it was another's token that ended
                return await self.verify_all(ask, services)
        task = asyncio.create_task(self._after(list(self._running.values()), ask, services))
        self._running[key] = task
        task.add_done_callback(lambda _: self._running.pop(key))
        return await asyncio.shield(task)

    async def _after(
        self, others: Sequence["asyncio.Task[list[Verified]]"], ask: Ask, services: Sequence[str]
    ) -> list[Verified]:
        if others:
            await asyncio.wait(others)
        return list(await asyncio.gather(*(verify(ask, name) for name in services)))


def _who(ask: Ask) -> list[str]:
    """Say who sees the same of logs: those who may the same."""
    return sorted(ask.session.scopes) if ask.session else []


async def _rows(ask: Ask, service: str, chain: Chain) -> int:
    after = 0
    while after < MOST_ROWS:
        page = await ask.get(service, "/audit", after=after, limit=PAGE)
        for row in page["items"]:
            chain.add(row)
        if len(page["items"]) < PAGE:
            return chain.end()
        after = page["items"][-1]["number"]
    rest = f"The others are too many for a page: ./sliceline audit verify --service {service}"
    raise Broken(f"Its first {after:,} rows are whole. {rest}")


async def _heads(ask: Ask, service: str) -> list[Head] | None:
    """Return what the archive was told of a log; None where whoever looks may not ask it, or there is none."""
    if LEDGER not in ask.services.names or not ask.may("ledger.read"):
        return None
    asked = {"key": service, "type": f"sliceline.{service}.acts-recorded.v1"}
    found, _ = await everything(ask, LEDGER, "/events", MOST_ROWS, **asked)
    return [Head(each["data"]["last"], each["data"]["hash"]) for each in found]
