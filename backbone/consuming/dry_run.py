"""Tries letters in a transaction that is undone, and tells what would come of it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg

from backbone.consuming import letters_sql, sql
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.claims import Letters, is_wanting
from backbone.consuming.redriven import Outcome, outcome_of, outcomes_of
from backbone.errors import SlicelineError
from backbone.running.faults import is_locked_out, is_passing
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Statement

Changes = Mapping[str, Mapping[str, int]]
"""By table: how many rows are inserted, updated and deleted."""

# Postgres counts a transaction's changes as it makes them; what a savepoint undoes is counted as well.
_COUNTED = Statement("""
SELECT relname, n_tup_ins AS inserted, n_tup_upd AS updated, n_tup_del AS deleted FROM pg_stat_xact_user_tables
WHERE schemaname = current_schema() AND n_tup_ins + n_tup_upd + n_tup_del > 0
""")


class _Undone(SlicelineError):
    """The rehearsal is over, and nothing of it stays."""


@dataclass
class Rehearsed:
    """Holds what a rehearsal found."""

    outcomes: list[Outcome] = field(default_factory=list)
    changes: Changes = field(default_factory=dict)


class Rehearsal:
    """Rehearses the letters of whole keys."""

    def __init__(self, database: Database, consumer: str, processor: BatchProcessor, letters: Letters) -> None:
        self._database = database
        self._consumer = consumer
        self._processor = processor
        self._letters = letters

    async def of(self, keys: Sequence[tuple[str, str]], letter: int | None) -> Rehearsed:
        """Try the letters of these keys, or the one of them; return what became of each and which rows changed.

        To be called by `Letters.fetching`.
        """
        found = Rehearsed()
        with suppress(_Undone):
            async with self._database.transaction() as tx:
                await sql.PARKED_LOCK.fetch(tx.raw, consumer=self._consumer, wanted=keys)
                given = {"consumer": self._consumer, "wanted": keys, "letter": letter}
                rows = await letters_sql.LETTERS_OF_KEYS.fetch(tx.raw, **given)
                if letter is not None and len(rows) > 1:  # it is not the first of its key
                    found.outcomes.append(outcome_of(rows[-1], "held"))
                else:
                    await self._together(tx, rows, found)
                raise _Undone
        return found

    async def _together(self, tx: Tx, rows: Sequence[asyncpg.Record], found: Rehearsed) -> None:
        """Try letters at once; where that fails, one after the other, and none behind one that fails."""
        error = await self._tried(tx, rows, found)
        if error is None:
            return
        if len(rows) == 1:
            word = "put-off" if is_locked_out(error) else "failed"
            found.outcomes.append(outcome_of(rows[0], word, error))
            return
        failed: set[tuple[str, str]] = set()
        for row in rows:
            if (row["topic"], row["key"]) in failed:
                found.outcomes.append(outcome_of(row, "held"))
                continue
            await self._together(tx, [row], found)
            if found.outcomes[-1].error:
                failed.add((row["topic"], row["key"]))

    async def _tried(self, tx: Tx, rows: Sequence[asyncpg.Record], found: Rehearsed) -> Exception | None:
        """Handle letters behind a savepoint; return the error that undid them. Raises what passes and concerns all."""
        before = await _counted(tx)
        await tx.raw.execute("SAVEPOINT rehearsal")
        try:
            outcomes = await self._handled(tx, rows)
        except Exception as error:
            if is_wanting(error) or (is_passing(error) and not is_locked_out(error)):
                raise
            await tx.raw.execute("ROLLBACK TO SAVEPOINT rehearsal")
            return error
        await tx.raw.execute("RELEASE SAVEPOINT rehearsal")
        found.outcomes += outcomes
        found.changes = merged(found.changes, _less(await _counted(tx), before))
        return None

    async def _handled(self, tx: Tx, rows: Sequence[asyncpg.Record]) -> list[Outcome]:
        """Handle letters as if their transaction ended with them: what they publish and schedule is written as well."""
        own = Tx(tx.connection, tx.raw, tx.service, tx.cause, tx.now)
        incoming = self._letters.decode(rows)
        unseen = await self._processor.admit(own, incoming)
        await self._processor.handle(own, incoming, unseen)
        await own.flush()
        return outcomes_of(rows, incoming, unseen)


async def _counted(tx: Tx) -> Changes:
    return {row["relname"]: _numbers(row) for row in await _COUNTED.fetch(tx.raw)}


def _numbers(row: asyncpg.Record) -> dict[str, int]:
    return {what: row[what] for what in ("inserted", "updated", "deleted")}


def merged(one: Changes, other: Changes) -> Changes:
    """Add up the changes of two rehearsals."""
    return {table: _sum(one.get(table, {}), other.get(table, {})) for table in sorted({*one, *other})}


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {what: one.get(what, 0) + other.get(what, 0) for what in ("inserted", "updated", "deleted")}


def _less(after: Changes, before: Changes) -> Changes:
    """Return by how much the counts have grown, of the tables where they have."""
    grown = {
        table: {what: number - before.get(table, {}).get(what, 0) for what, number in numbers.items()}
        for table, numbers in after.items()
    }
    return {table: numbers for table, numbers in grown.items() if any(numbers.values())}
