"""Handles dead letters again by a plan, after whatever was wrong with them was mended (redrive).

A plan takes keys, each in its order, in steps that grow. A step is one transaction; where it fails it is halved down
to the letter that is guilty. What became of each letter is written with its effect, so that whoever goes on with a
plan, after whatever end, goes on where it stood, and two who are at one plan do nothing twice.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import asyncpg
import msgspec

from backbone.consuming import acts, counting, letters_sql, parking, sql
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.claims import Letters
from backbone.consuming.dry_run import Rehearsal, merged
from backbone.consuming.fingerprints import failure_of
from backbone.consuming.handlers import Handlers
from backbone.consuming.redriven import Outcome, outcome_of, outcomes_of
from backbone.errors import SlicelineError
from backbone.observing.logs import logger
from backbone.running.faults import is_locked_out, is_passing, may_be_too_much
from backbone.running.pulse import describe
from backbone.storage.database import Database, Tx

KIND = "redrive"
"""The kind of job that goes on with a plan."""
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""How many letters a step takes; the last number stands for all later steps."""
FEW = 1000
"""Of so many keys at most each one's letters are looked up at a step; of more all letters are walked."""
REHEARSED = 200
"""How many letters, in whole keys, a dry run tries in one transaction."""
GIVEN_UP_ON = timedelta(minutes=1)
"""After so long a job takes over what a request began and did not end."""

OnFailure = Literal["stop", "continue"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Says which letters to handle again, and how; those of a fingerprint come with what waits behind them."""

    letter: int | None = None
    key: str | None = None
    fingerprint: str | None = None
    dry_run: bool = False
    rate: float | None = None
    on_failure: OnFailure = "stop"


async def begin(
    tx: Tx,
    consumer: str,
    plan: Plan,
    actor: str,
    *,
    after: timedelta = timedelta(0),
    keys: Sequence[tuple[str, str]] | None = None,
) -> int:
    """Write a plan, and schedule the job that goes on with it `after` a while; return its number.

    `keys`: the (topic, key) pairs to take, where they are known already.
    """
    wanted = await wanted_keys(tx, consumer, plan) if keys is None else keys
    asked = {name: getattr(plan, name) for name in ("letter", "key", "fingerprint", "dry_run", "rate", "on_failure")}
    number = await letters_sql.REDRIVE_BEGIN.fetchval(tx.raw, consumer=consumer, actor=actor, wanted=wanted, **asked)
    tx.schedule(KIND, str(number), due=tx.now + after if after else None)
    if not plan.dry_run:
        await acts.note(tx, actor, "redrive", redrive=number, **{name: each for name, each in asked.items() if each})
    return int(number)


async def wanted_keys(tx: Tx, consumer: str, plan: Plan) -> list[tuple[str, str]]:
    """Return the (topic, key) pairs that a plan takes."""
    asked = {"letter": plan.letter, "key": plan.key, "fingerprint": plan.fingerprint}
    rows = await letters_sql.WANTED_KEYS.fetch(tx.raw, consumer=consumer, **asked)
    return sorted((row["topic"], row["key"]) for row in rows)


async def redrive(
    database: Database, name: str, handlers: Handlers, key: str | None = None, *, actor: str = "anonymous"
) -> int:
    """Handle the dead letters of one key, or of all parked keys, before it returns; return how many were handled.

    A key whose next event fails again stays parked with the new error, one that needs what somebody else holds stays
    parked as it is; the other keys go on.
    """
    async with database.for_bulk_commands.transaction() as tx:
        number = await begin_at_once(tx, name, key, actor)
    return 0 if number is None else await _finish(database.for_bulk_commands, name, handlers, number)


async def begin_at_once(tx: Tx, consumer: str, key: str | None, actor: str) -> int | None:
    """Write the plan for a key, or all, whose steps the caller takes after the commit; return its number, if any.

    Its job takes them where the caller does not come to it.
    """
    plan = Plan(key=key, on_failure="continue")
    keys = await wanted_keys(tx, consumer, plan)
    return await begin(tx, consumer, plan, actor, after=GIVEN_UP_ON, keys=keys) if keys else None


async def _finish(database: Database, name: str, handlers: Handlers, number: int) -> int:
    going = Redrive(database, name, handlers, number)
    while await going.step():
        pass
    async with database.transaction() as tx:
        tx.withdraw(KIND, str(number))
    return await going.handled()


async def begin_behind(tx: Tx, consumer: str, keys: Sequence[tuple[str, str]], actor: str) -> int | None:
    """Write the plan by which what waited behind discarded letters goes on; return its number, None for nothing."""
    return await begin(tx, consumer, Plan(on_failure="continue"), actor, keys=keys) if keys else None


async def go_on(database: Database, name: str, handlers: Handlers, number: int) -> None:
    """Take the steps of a plan that was begun at once; after a passing fault the rest is left for the plan's job."""
    try:
        await _finish(database.for_bulk_commands, name, handlers, number)
    except Exception as error:
        if not is_passing(error):
            raise
        given = {"action": "redrive-put-off", "redrive": number, "error": describe(error)}
        logger.warning("a redrive is left for later", **given)


class Redrive:
    """Takes the steps of one plan."""

    def __init__(self, database: Database, name: str, handlers: Handlers, number: int) -> None:
        self._database = database
        self._name = name
        self._processor = BatchProcessor(name, handlers, database)
        self._letters = Letters(self._processor.views)
        self._number = number

    async def wait(self) -> timedelta:
        """Return how long the plan's rate has the next step wait."""
        async with self._database.transaction() as tx:
            plan = await self._lock(tx)
            return max(plan["next_at"] - tx.now, timedelta(0)) if plan else timedelta(0)

    async def handled(self) -> int:
        """Return how many letters are gone because they were handled, now or before."""
        rows = await letters_sql.OUTCOME_COUNTS.fetch(self._database, redrive=self._number)
        return sum(row["count"] for row in rows if row["outcome"] in ("applied", "already-applied", "ignored"))

    async def step(self) -> bool:
        """Take the next step; return False when there is none left, or the plan was stopped or cancelled."""
        async with self._database.transaction() as tx:
            plan = await self._lock(tx)
            if plan is None:
                return False
            ids = [] if plan["dry_run"] else await self._next(tx, plan)
        if plan["dry_run"]:
            return await self._rehearse(plan)
        if ids:
            await self._apply(ids)
            await self._pace(plan, len(ids))
        if not ids or plan["letter"] is not None:
            await self._end(plan)
            return False
        return True

    async def _lock(self, tx: Tx) -> asyncpg.Record | None:
        """Lock the plan; return None when nothing is to be done any more."""
        plan = await letters_sql.REDRIVE_LOCK.fetchrow(tx.raw, id=self._number)
        return plan if plan is not None and plan["state"] == "running" else None

    async def _next(self, tx: Tx, plan: asyncpg.Record) -> list[int]:
        most = STEPS[min(plan["steps"], len(STEPS) - 1)]
        if plan["rate"]:
            most = max(1, min(most, int(plan["rate"])))  # a second's worth, not a burst and a long rest
        given = {"redrive": self._number, "consumer": self._name, "letter": plan["letter"], "most": most, "few": FEW}
        return [row["id"] for row in await letters_sql.REDRIVE_NEXT.fetch(tx.raw, **given)]

    async def _apply(self, ids: Sequence[int]) -> None:
        """Handle letters in one transaction; where that fails, in halves down to the one that is set down as failed."""
        error = await self._tried(ids)
        may_be_the_connection = not isinstance(error, SlicelineError | None) and not is_passing(error)
        if len(ids) == 1 and may_be_the_connection:
            error = await self._tried(ids, fresh=True)
        if error is None:
            return
        if len(ids) == 1:
            await self._fail(ids[0], error)
            return
        middle = len(ids) // 2
        await self._apply(ids[:middle])
        await self._apply(ids[middle:])

    async def _tried(self, ids: Sequence[int], *, fresh: bool = False) -> Exception | None:
        """Return the error of the letters, or of rows that others hold. Raises what passes and concerns all."""
        try:
            await self._letters.fetching(lambda: self._try(ids, fresh=fresh))
        except Exception as error:
            concerns_these = is_locked_out(error) or (len(ids) > 1 and may_be_too_much(error))
            if is_passing(error) and not concerns_these:
                raise
            return error
        return None

    async def _try(self, ids: Sequence[int], *, fresh: bool) -> None:
        async with self._database.transaction(fresh=fresh) as tx:
            if await self._lock(tx) is None:
                return
            rows = await self._take(tx, ids)
            if not rows:
                return
            incoming = self._letters.decode(rows)
            unseen = await self._processor.admit(tx, incoming)
            outcomes = outcomes_of(rows, incoming, unseen)
            await counting.take_up(tx, outcomes)  # before the handlers, as a batch does
            await self._processor.handle(tx, incoming, unseen)
            await letters_sql.LETTERS_DELETE.execute(tx.raw, ids=[each.letter for each in outcomes])
            await letters_sql.OPEN_KEYS.execute(tx.raw, consumer=self._name, wanted=parking.keys_of(rows))
            await self._note(tx, outcomes)

    async def _take(self, tx: Tx, ids: Sequence[int]) -> list[asyncpg.Record]:
        """Lock the letters' keys and return those that are still there, each behind none of its key but these.

        A key that is open though letters of it lie there is closed again: so a step always takes something.
        """
        keys = parking.keys_of(await letters_sql.KEYS_OF.fetch(tx.raw, ids=ids))
        closed = parking.keys_of(await sql.PARKED_LOCK.fetch(tx.raw, consumer=self._name, wanted=keys))
        if is_open := sorted({*keys} - {*closed}):
            await sql.PARK_KEY.execute(tx.raw, consumer=self._name, parked=is_open)
            await letters_sql.OPEN_KEYS.execute(tx.raw, consumer=self._name, wanted=is_open)
        return await letters_sql.LETTERS_TAKE.fetch(tx.raw, redrive=self._number, ids=ids)

    async def _fail(self, letter: int, error: Exception) -> None:
        """Set down a letter's failure and leave its key; stop where the plan says so."""
        async with self._database.transaction() as tx:
            plan = await self._lock(tx)
            rows = await self._take(tx, [letter]) if plan else []
            if plan is None or not rows:
                return
            row = rows[0]
            is_put_off = is_locked_out(error)
            if not is_put_off:
                blame = parking.blame_of(failure_of(error, row["type"]), tx.now)
                given = {name: getattr(blame, name) for name in ("error", "fingerprint", "frames", "failing")}
                await letters_sql.LETTER_BLAME.execute(tx.raw, id=letter, **given)
            await self._note(tx, [outcome_of(row, "put-off" if is_put_off else "failed", error)])
            await letters_sql.REDRIVE_CLOSE.execute(tx.raw, redrive=self._number, done=parking.keys_of(rows))
            if plan["on_failure"] == "stop" and not is_put_off:
                await letters_sql.REDRIVE_END.execute(tx.raw, id=self._number, state="stopped")
        _tell(row, error, is_put_off=is_put_off)

    async def _note(self, tx: Tx, outcomes: Sequence[Outcome]) -> None:
        await letters_sql.OUTCOMES_ADD.execute(tx.raw, redrive=self._number, outcome=outcomes)

    async def _pace(self, plan: asyncpg.Record, count: int) -> None:
        pause = timedelta(seconds=count / plan["rate"]) if plan["rate"] else timedelta(0)
        async with self._database.transaction() as tx:
            await letters_sql.REDRIVE_STEP.execute(tx.raw, id=self._number, next_at=tx.now + pause, changes=None)

    async def _end(self, plan: asyncpg.Record) -> None:
        """Open keys that have nothing left, say of the others what was not tried, and end the plan."""
        async with self._database.transaction() as tx:
            if await self._lock(tx) is None:
                return
            if not plan["dry_run"]:
                rows = await letters_sql.REDRIVE_KEYS.fetch(tx.raw, redrive=self._number)
                await sql.PARKED_LOCK.fetch(tx.raw, consumer=self._name, wanted=parking.keys_of(rows))
                await letters_sql.OPEN_KEYS.execute(tx.raw, consumer=self._name, wanted=parking.keys_of(rows))
                given = {"redrive": self._number, "consumer": self._name, "letter": plan["letter"]}
                await letters_sql.REDRIVE_HELD.execute(tx.raw, **given)
            await letters_sql.REDRIVE_END.execute(tx.raw, id=self._number, state="done")

    async def _rehearse(self, plan: asyncpg.Record) -> bool:
        """Try the next keys and undo it; return False when there are none left."""
        given = {"redrive": self._number, "consumer": self._name, "most": REHEARSED}
        keys = _worth(await letters_sql.REDRIVE_NEXT_KEYS.fetch(self._database, **given))
        if not keys:
            await self._end(plan)
            return False
        rehearsal = Rehearsal(self._database, self._name, self._processor, self._letters)
        found = await self._letters.fetching(lambda: rehearsal.of(keys, plan["letter"]))
        async with self._database.transaction() as tx:
            if await self._lock(tx) is None:
                return False
            if await letters_sql.REDRIVE_OPEN.fetchval(tx.raw, redrive=self._number, wanted=keys) < len(keys):
                return True  # somebody else has tried them meanwhile, and said what would change
            await self._note(tx, found.outcomes)
            await letters_sql.REDRIVE_CLOSE.execute(tx.raw, redrive=self._number, done=keys)
            known = await letters_sql.REDRIVE_CHANGES.fetchval(tx.raw, id=self._number)
            changes = msgspec.json.encode(merged(known or {}, found.changes)).decode()
            await letters_sql.REDRIVE_STEP.execute(tx.raw, id=self._number, next_at=tx.now, changes=changes)
        return True


def _tell(row: asyncpg.Record, error: Exception, *, is_put_off: bool) -> None:
    said = "a parked key is left for later" if is_put_off else "a dead letter failed again"
    action = "redrive-put-off" if is_put_off else "redrive-failed"
    logger.warning(said, action=action, topic=row["topic"], key=row["key"], letter=row["id"], error=describe(error))


def _worth(rows: Sequence[asyncpg.Record]) -> list[tuple[str, str]]:
    """Return the first of these keys, so many that they have about `REHEARSED` letters together."""
    chosen, letters = list[tuple[str, str]](), 0
    for row in rows:
        if letters >= REHEARSED:
            break
        chosen.append((row["topic"], row["key"]))
        letters += row["letters"]
    return chosen
