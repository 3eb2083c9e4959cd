"""Reads the backlog: what waits in a service's tables, since when, why, and which of it needs a person.

Read from the tables at each look, so that a restart forgets nothing and every replica tells the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

import asyncpg

from backbone.storage import sql
from backbone.storage.database import Database
from backbone.storage.statement import Statement

MOST = 10_000
"""Rows that a look counts of each sort; where there are more, it says this many."""
PATIENCE = timedelta(minutes=1)
"""How long something may fail, or wait with nobody at it, before a person is needed."""

# What waits behind a key that somebody has paused is counted with the pause, and is not parked. Few keys are paused.
_NOT_HELD = """NOT EXISTS (
  SELECT FROM parked_keys AS k WHERE k.pause IS NOT NULL AND (k.consumer, k.topic, k.key) = (l.consumer, l.topic, l.key)
)"""

# One statement, and each part of it reads an index from its end or so many rows at most: a scrape must cost nothing.
# The kinds are found by leaping from one to the next, so that those of which no code is left are seen too. Jobs in
# hand are those with a lease that has not ended.
LOOK = Statement(
    """
WITH RECURSIVE kinds AS (
  SELECT min(kind) AS kind FROM jobs
  UNION ALL
  SELECT (SELECT min(kind) FROM jobs WHERE kind > kinds.kind) FROM kinds WHERE kinds.kind IS NOT NULL
), outbox_now AS (
  SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT :most) AS bounded) AS waiting,
         (SELECT time FROM outbox ORDER BY position LIMIT 1) AS since
), refusals AS (
  SELECT (SELECT count(*) FROM (SELECT FROM refused_events LIMIT :most) AS bounded) AS refused,
         (SELECT refused_at FROM refused_events ORDER BY position LIMIT 1) AS refused_since,
         (SELECT error FROM refused_events WHERE error IS NOT NULL ORDER BY position DESC LIMIT 1) AS refused_error
), letters AS (
  SELECT (SELECT count(*) FROM (SELECT FROM dead_letters AS l WHERE {not_held} LIMIT :most) AS bounded) AS events,
         (SELECT count(*) FROM (SELECT FROM parked_keys WHERE pause IS NULL LIMIT :most) AS bounded) AS keys,
         (SELECT parked_at FROM dead_letters AS l WHERE {not_held} ORDER BY id LIMIT 1) AS since,
         (SELECT error FROM dead_letters AS l WHERE error IS NOT NULL AND {not_held} ORDER BY id DESC LIMIT 1) AS error
)
SELECT now() AS at, outbox_now.waiting, outbox_now.since AS waiting_since,
       letters.events, letters.keys, letters.since AS parked_since, letters.error AS parked_error,
       refusals.*, jobs.*
FROM outbox_now CROSS JOIN letters CROSS JOIN refusals LEFT JOIN (
  kinds JOIN LATERAL (
    SELECT
      (SELECT count(*) FROM (SELECT FROM jobs
         WHERE kind = kinds.kind AND parked_at IS NULL AND due <= now() LIMIT :most) AS bounded) AS due,
      (SELECT due FROM jobs WHERE kind = kinds.kind AND parked_at IS NULL AND due <= now() ORDER BY due LIMIT 1)
         AS due_since,
      (SELECT count(*) FROM (SELECT FROM jobs
         WHERE kind = kinds.kind AND lease IS NOT NULL AND due > now() LIMIT :most) AS bounded) AS in_hand,
      (SELECT count(*) FROM (SELECT FROM jobs
         WHERE kind = kinds.kind AND error IS NOT NULL AND parked_at IS NULL LIMIT :most) AS bounded) AS failing,
      (SELECT first_attempt_at FROM jobs WHERE kind = kinds.kind AND error IS NOT NULL AND parked_at IS NULL
         ORDER BY first_attempt_at LIMIT 1) AS failing_since,
      (SELECT error FROM jobs WHERE kind = kinds.kind AND error IS NOT NULL AND parked_at IS NULL
         ORDER BY first_attempt_at DESC LIMIT 1) AS failing_error,
      (SELECT count(*) FROM (SELECT FROM jobs
         WHERE kind = kinds.kind AND parked_at IS NOT NULL LIMIT :most) AS bounded) AS given_up,
      (SELECT parked_at FROM jobs WHERE kind = kinds.kind AND parked_at IS NOT NULL ORDER BY parked_at LIMIT 1)
         AS given_up_since,
      (SELECT error FROM jobs WHERE kind = kinds.kind AND parked_at IS NOT NULL ORDER BY parked_at DESC LIMIT 1)
         AS given_up_error,
      (SELECT opened_at FROM breakers WHERE kind = kinds.kind) AS rests_since,
      (SELECT rests_until FROM breakers WHERE kind = kinds.kind) AS rests_until
  ) AS numbers ON true
) AS jobs ON jobs.kind IS NOT NULL
ORDER BY jobs.kind
""".replace("{not_held}", _NOT_HELD)
)

PAUSES = Statement("""
SELECT what, name, reason, paused_at AS since, paused_by AS by,
       (SELECT count(*) FROM (SELECT FROM parked_keys JOIN dead_letters USING (consumer, topic, key)
                              WHERE pause = pauses.id LIMIT :most) AS bounded) AS held
FROM pauses WHERE resumed_at IS NULL ORDER BY id
""")


@dataclass(frozen=True)
class Outbox:
    """Counts events not published yet, and those that cannot be, since Kafka refuses them or one before them."""

    waiting: int
    since: datetime | None
    refused: int
    refused_since: datetime | None
    refused_error: str | None


@dataclass(frozen=True)
class Parked:
    """Counts parked events and closed keys; `error` is that of the last event that could not be handled."""

    events: int
    keys: int
    since: datetime | None
    error: str | None


@dataclass(frozen=True)
class Jobs:
    """Counts the jobs of one kind: due and waiting to be taken, in hand, failing and tried again, and given up.

    They rest where what they call is away, and one of them is tried when the rest is over.
    """

    kind: str
    due: int = 0
    due_since: datetime | None = None
    in_hand: int = 0
    failing: int = 0
    failing_since: datetime | None = None
    failing_error: str | None = None
    given_up: int = 0
    given_up_since: datetime | None = None
    given_up_error: str | None = None
    rests_since: datetime | None = None
    rests_until: datetime | None = None


@dataclass(frozen=True)
class LogBreak:
    """Counts partitions of a topic that did not fit the stored places, unacknowledged; `said` tells of the first."""

    topic: str
    what: str
    partitions: int
    since: datetime
    said: str


@dataclass(frozen=True)
class Pause:
    """Tells what somebody has paused: the consumer, a key (behind which `held` events wait) or a kind of job."""

    what: str
    name: str
    reason: str
    since: datetime
    by: str
    held: int = 0


@dataclass(frozen=True)
class Backlog:
    """Holds what waits at one moment."""

    at: datetime
    outbox: Outbox
    parked: Parked
    jobs: list[Jobs]
    log_breaks: list[LogBreak]
    pauses: list[Pause] = field(default_factory=list)

    def has_paused(self, kind: str) -> bool:
        """Tell whether somebody has paused the jobs of this kind."""
        return any((each.what, each.name) == ("job", kind) for each in self.pauses)


async def look(database: Database) -> Backlog:
    """Read what waits now, in three statements."""
    rows = await LOOK.fetch(database, most=MOST)
    first = rows[0]
    return Backlog(
        at=first["at"],
        outbox=Outbox(
            first["waiting"], first["waiting_since"], first["refused"], first["refused_since"], first["refused_error"]
        ),
        parked=Parked(first["events"], first["keys"], first["parked_since"], first["parked_error"]),
        jobs=[_jobs_of(row) for row in rows if row["kind"] is not None],
        log_breaks=[LogBreak(**row) for row in await sql.LOG_BREAKS.fetch(database)],
        pauses=[Pause(**row) for row in await PAUSES.fetch(database, most=MOST)],
    )


def _jobs_of(row: asyncpg.Record) -> Jobs:
    return Jobs(**{each.name: row[each.name] for each in fields(Jobs)})


def needs(backlog: Backlog) -> list[str]:
    """Say, one sentence for each, what does not go on without a person; a queue that moves is not among it."""
    events = (*_needs_of_events(backlog), *map(_need_of_break, backlog.log_breaks))
    jobs = (said for each in backlog.jobs for said in _needs_of_jobs(each, backlog))
    return [*map(_need_of_pause, backlog.pauses), *events, *jobs]


def _needs_of_events(backlog: Backlog) -> Iterator[str]:
    outbox, parked = backlog.outbox, backlog.parked
    if parked.events:
        yield (
            f"{_count(parked.events, 'event')} of {_count(parked.keys, 'key')} parked, "
            f"the first since {_moment(parked.since)}; "
            + (f"the last error: {parked.error}" if parked.error else "none has failed, so redrive them")
        )
    if outbox.refused:
        yield (
            f"{_count(outbox.refused, 'event')} refused by Kafka or behind one that is, "
            f"the first since {_moment(outbox.refused_since)}; the last error: {outbox.refused_error}"
        )
    if _too_long(outbox.since, backlog.at):
        yield f"{_count(outbox.waiting, 'event')} not published, the first since {_moment(outbox.since)}"


def _need_of_break(broken: LogBreak) -> str:
    where = f"{broken.topic}, {_count(broken.partitions, 'partition')} since {_moment(broken.since)}"
    return f"{where}: {broken.said} (POST /log-breaks/acknowledge when you have seen to it)"


def _need_of_pause(pause: Pause) -> str:
    what = {"consumer": "the consumer", "key": f"key {pause.name}", "job": f"{pause.name} jobs"}[pause.what]
    behind = f", {_count(pause.held, 'event')} behind it" if pause.what == "key" else ""
    return f"{what} paused since {_moment(pause.since)} by {pause.by}{behind}: {pause.reason}"


def _needs_of_jobs(jobs: Jobs, backlog: Backlog) -> Iterator[str]:
    now = backlog.at
    if jobs.given_up:
        yield (
            f"{_count(jobs.given_up, f'{jobs.kind} job')} given up, the first since {_moment(jobs.given_up_since)}; "
            f"the last error: {jobs.given_up_error}"
        )
    if _too_long(jobs.failing_since, now):
        yield (
            f"{_count(jobs.failing, f'{jobs.kind} job')} failing, the first since {_moment(jobs.failing_since)}, "
            f"{jobs.due} due; the last error: {jobs.failing_error}{_rest_of(jobs)}"
        )
    is_held = jobs.in_hand or jobs.rests_since or backlog.has_paused(jobs.kind)
    if _too_long(jobs.due_since, now) and not is_held:
        yield f"{_count(jobs.due, f'{jobs.kind} job')} due since {_moment(jobs.due_since)}, and nobody does them"


def _rest_of(jobs: Jobs) -> str:
    """Say that they rest, where they do."""
    if jobs.rests_since is None:
        return ""
    return f"; they rest since {_moment(jobs.rests_since)}, one is tried at {_moment(jobs.rests_until)}"


def _too_long(since: datetime | None, now: datetime) -> bool:
    return since is not None and now - since > PATIENCE


def _count(number: int, what: str) -> str:
    or_more = " or more" if number >= MOST else ""
    return f"{number}{or_more} {what}{'' if number == 1 else 's'}"


def _moment(since: datetime | None) -> str:
    return f"{since:%Y-%m-%d %H:%M:%SZ}" if since else "an unknown time"
