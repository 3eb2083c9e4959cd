"""A run: faults by a seeded schedule against the whole shop under load, healing, a wait, and then every promise.

`./sliceline chaos` is the command (`__main__.py`), and a short one is a test (`test_chaos.py`).
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from backbone.events.envelope import is_type, name_without_version
from backbone.running.pulse import describe
from tests.books import Books, come_to_rest, read_books
from tests.faults import promises, taps
from tests.faults.builds import THIS, Build
from tests.faults.history import ENDS, History, Known, contradictions
from tests.faults.load import BURST, Crowd
from tests.faults.schedule import ARCHIVE, HARD, KINDS, SOFT, Fault, plan
from tests.faults.strikes import STRIKES, needs, small_disks
from tests.faults.striking import Striking
from tests.faults.world import World, world
from tests.invariants import broken_promises
from tests.system import Shop
from tests.waiting import eventually

REST = 180.0
"""Seconds that the shop has to come to rest once all is healed."""
DISK, DISK_A_MINUTE = 640, 30
"""Megabytes of a disk that is filled: at the least, and for each minute of the run."""
UNENDED = "SELECT count(*) FROM orders WHERE NOT status = ANY($1)"
Report = dict[str, Any]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """What to do: `orders` are placed within `seconds`, in a folder that keeps the history and the logs.

    `left_out` says of other kinds why this machine cannot have them; `rolling` has the build `other` beside this one.
    """

    seed: int
    seconds: float
    orders: int
    kinds: Sequence[str]
    folder: Path
    left_out: Mapping[str, str] = field(default_factory=dict)
    other: Build = THIS


async def run(what: Run, tell: Tell) -> Report:
    """Run the shop, its customers and the faults; return the report. Violations are in it, and nothing is raised."""
    faults = plan(what.seed, what.seconds, what.kinds)
    what.folder.mkdir(parents=True, exist_ok=True)
    with (what.folder / "history.jsonl").open("w", buffering=1) as file:
        small, megabytes = small_disks(what.kinds), DISK + round(DISK_A_MINUTE * what.seconds / 60)
        async with world(what.folder, needs(faults), [ARCHIVE], small, megabytes) as built:
            return await _run(what, faults, built, History(file), tell)


async def _run(what: Run, faults: Sequence[Fault], built: World, history: History, tell: Tell) -> Report:
    crowd = Crowd(built.shop, history, what.seed, _rate(what, faults))
    striking = Striking(built, crowd, random.Random(f"{what.seed}/strikes"), what.other.folder)
    await _fill_up(built.shop)
    await built.system.robot()
    crowd.began = time.monotonic()
    ends = crowd.began + what.seconds
    placing = asyncio.create_task(crowd.order(what.orders))
    lanes = ([fault for fault in faults if KINDS[fault.kind].lane == lane] for lane in (HARD, SOFT))
    supervising = asyncio.create_task(striking.supervise())
    try:
        await asyncio.gather(*(_lane(lane, striking, ends, tell) for lane in lanes))
        await _until(ends, placing)
        crowd.stop()
        await built.heal()
        await placing
        tell("healed; waiting until everything has come to rest")
        violations = [*striking.violations, *crowd.wrong, *await _judge(built, history)]
    finally:
        supervising.cancel()
        placing.cancel()
    return _report(what, striking, crowd, violations)


def _rate(what: Run, faults: Sequence[Fault]) -> float:
    """Orders a second, so that all are placed in time, bursts included."""
    hurried = sum(fault.length for fault in faults if fault.kind == "burst")
    return what.orders / (what.seconds - 2 + hurried * (BURST - 1))


async def _fill_up(shop: Shop) -> None:
    """Have so much of everything that no order has to wait for more."""
    for row in await shop.fetch("inventory", "SELECT sku FROM stock"):
        await shop.adjust(row["sku"], "count", change=50_000)


async def _lane(faults: Iterable[Fault], striking: Striking, ends: float, tell: Tell) -> None:
    """Let the faults of a lane strike one after the other; one that healed late delays the next.

    Where the machine is slow and the time is over, only kinds that have not struck yet are still waited for.
    """
    began = striking.crowd.began
    for fault in faults:
        await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
        if time.monotonic() > ends and striking.struck[fault.kind]:
            continue
        tell(f"{time.monotonic() - began:6.1f}  {fault.kind} {fault.target} for {fault.length:.1f} s")
        striking.struck[fault.kind] += 1
        try:
            async with STRIKES[fault.kind](striking, fault):
                await asyncio.sleep(fault.length)
        except Exception as error:  # what else the run finds is still worth knowing
            striking.violations.append(f"{fault.kind} {fault.target} did not end as it should: {describe(error)}")


async def _until(moment: float, placing: "asyncio.Task[None]") -> None:
    """Until then, or until nobody places any more."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(placing), max(0.0, moment - time.monotonic()))


async def _judge(built: World, history: History) -> list[str]:
    """Wait until all is done, and find every promise that is not kept."""
    late = [line async for line in _waited(built.shop)]
    books = await read_books(built.shop)
    return [*late, *broken_promises(books, built.shop.spoilt), *await _beyond(built, books, history)]


async def _waited(shop: Shop) -> AsyncIterator[str]:
    """Say what did not come to its end in time."""

    async def all_ended() -> bool:
        [(left,)] = await shop.fetch("orders", UNENDED, [*ENDS, "backordered"])
        return not left

    for wait in (
        partial(eventually, all_ended, REST, what="all orders have an end", every=0.5),
        partial(come_to_rest, shop, REST),
    ):
        try:
            await wait()
        except AssertionError as error:
            yield str(error)


async def _beyond(built: World, books: Books, history: History) -> list[str]:
    """What the books do not say."""
    shop, spoilt = built.shop, built.shop.spoilt
    written, effects = [], []
    found: list[str] = []
    for service in built.system.services:
        async with shop.database(service) as connection:
            written += await taps.written(connection)
            mine = await taps.effects(connection)
            found += promises.letters_hold_their_keys(await taps.letters(connection), mine)
        effects += mine
        for handled in (await shop.get(service, "/handled"))["consumers"]:
            found += promises.counted_once(handled)
        found += promises.handled_all(service, _heard_by(service), books.topics, mine, spoilt)
    rows = await shop.fetch("orders", "SELECT id, customer_id, status FROM orders")
    known = [Known(row["id"], row["customer_id"], row["status"]) for row in rows]
    archived = await shop.fetch(ARCHIVE, "SELECT source, id FROM events")
    found += promises.archived_once([(row["source"], row["id"]) for row in archived], books.topics, spoilt)
    found += contradictions(history.told, known)
    found += promises.published_once_written(written, books.topics, spoilt)
    found += promises.handled_once(effects)
    found += promises.handled_in_order(effects, spoilt)
    found += promises.versions_agree(books.topics, spoilt)
    return found


def _heard_by(service: str) -> set[str]:
    """The names of what it listens to, each whatever its version."""
    views = import_module(f"services.{service}.service").SERVICE.handlers
    return {name_without_version(view.TYPE) for view in views if is_type(getattr(view, "TYPE", ""))}


def _report(what: Run, on: Striking, crowd: Crowd, violations: Sequence[str]) -> Report:
    hurried = sorted(crowd.hurried)
    told = Counter(f"{each.what} {each.outcome}" for each in crowd.history.told)
    return {
        "seed": what.seed,
        "orders": len(crowd.history.accepted()),
        "faults": dict(sorted(on.struck.items())),
        "left_out": dict(what.left_out),
        "rolled_with": what.other.name if on.struck["rolling"] else "",
        "kills": on.kills,
        "halted": dict(on.halted),
        "restarts": on.restarts,
        "redeliveries": on.redeliveries,
        "violations": list(violations),
        "seconds": round(time.monotonic() - crowd.began),
        "told": dict(sorted(told.items())),
        "resumed_seconds": on.resumed,
        "burst": {"accepted": len(hurried), "p99_ms": round(1000 * hurried[len(hurried) * 99 // 100])}
        if hurried
        else {},
        "points_missed": on.missed,
        "history": str(what.folder / "history.jsonl"),
    }
