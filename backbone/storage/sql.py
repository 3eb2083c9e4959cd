"""Holds the hot statements, each with the reason for its shape; asyncpg gets them once their names are numbers."""

from sqlalchemy import DateTime, Integer, Text, column

from backbone.events.dataref import LARGEST_INLINE
from backbone.storage.objects import SIDE_BY_SIDE
from backbone.storage.statement import Statement, rows, tuples
from backbone.storage.tables import jobs, outbox, retried_jobs, sequences

# One row per key is locked and counted up, keys in sorted order so that two transactions never wait for each other in
# a ring. Only then are positions drawn (the outermost SELECT is sorted before its identity column is filled), so that
# for one key position order is commit order. Drawn earlier, a later commit could overtake an earlier one.
# `following` says how many of the same key come after a row: its sequence is the key's last one less those. A key is
# counted on each bus by itself, under the name that `counter` gives.
PUBLISH = Statement(
    """
WITH counted AS (
  INSERT INTO sequences AS s (key, last)
  SELECT key, count(*) FROM unnest(:event.counter) AS key GROUP BY key ORDER BY key
  ON CONFLICT (key) DO UPDATE SET last = s.last + excluded.last
  RETURNING key, last
)
INSERT INTO outbox (:event.columns, source, time, sequence)
SELECT :event.*, '/sliceline/' || :service::text, :now::timestamptz, last - following
FROM :event.numbered JOIN counted ON counted.key = event.counter
ORDER BY ordinal
""",
    event=rows(
        outbox,
        column("following", Integer),
        column("counter", Text),
        without=("position", "source", "time", "sequence", "specversion"),
    ),
)

# The lock ends with the transaction, also when its process was killed; a relay that does not get it stands by. Its
# commits need not reach the disk at once: a delete that a crash undoes only sends its events again. The outbox is
# mostly empty: a plan made then and kept would read the whole table for each batch of a backlog. So it goes by index.
RELAY_LOCK = Statement("""
SELECT pg_try_advisory_xact_lock(hashtext('sliceline.relay'))
FROM set_config('synchronous_commit', 'off', true) AS sooner, set_config('enable_seqscan', 'off', true) AS by_index
""")

# Tables that came back from a backup give no number twice: they count on from what was published. Sorted, as above.
COUNT_ON = Statement(
    """
INSERT INTO sequences AS s (:known.columns) SELECT :known.* FROM :known ORDER BY key
ON CONFLICT (key) DO UPDATE SET last = excluded.last WHERE s.last < excluded.last RETURNING key
""",
    known=tuples(sequences.c.key, sequences.c.last),
)

# The oldest visible rows leave the outbox; no "last position" is remembered, because positions become visible out of
# order. A row's ctid is its place on the disk, the shortest way to it, and holds still: outbox rows are never updated.
# Columns come as bytes (`textsend`: UTF-8, as they would travel anyway) and in the form and order in which
# envelope.headers_of wants them, so that the relay has nothing to convert. RETURNING gives no order: sorted again.
# The batch ends before the large row that the object store would not take at once with the others: so a batch is
# packed within one answer of a slow store, shorter than a transaction may be idle. A text's length is looked up.
_TAKEN = f"""
taken AS (
  DELETE FROM outbox WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM (
      SELECT ctid, count(*) FILTER (WHERE octet_length(payload) > {LARGEST_INLINE})
                   OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS large
      FROM outbox ORDER BY position LIMIT :most
    ) AS oldest WHERE large <= {SIDE_BY_SIDE}
  ))
  RETURNING :outbox.*
)
"""  # noqa: S608  our own numbers
_AS_THEY_TRAVEL = """
SELECT textsend(payload) AS payload, textsend(id) AS id, textsend(type) AS type, textsend(source) AS source,
       textsend(subject) AS subject,
       textsend(to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS time,
       textsend(dataschema) AS dataschema, textsend(aggregateid) AS partitionkey,
       textsend(correlationid) AS correlationid, textsend(occurrenceid) AS occurrenceid,
       textsend(lpad(sequence::text, 20, '0')) AS sequence, textsend(causationid) AS causationid,
       textsend(traceparent) AS traceparent, aggregatetype
"""
# Whether any key is closed is asked here, under the lock: the statement that takes the lock looked before it had it.
_SOME_REFUSED = "EXISTS (SELECT FROM refused_events) AS some_refused"
RELAY_TAKE = Statement(
    f"WITH {_TAKEN} {_AS_THEY_TRAVEL}, {_SOME_REFUSED} FROM taken ORDER BY position",
    outbox=outbox,
)

# The same while some key is closed: its rows are put behind the refused one, at their own positions, and come back
# only to be counted. One statement, so that no row becomes visible between the two looks.
RELAY_TAKE_OPEN = Statement(
    f"""
WITH {_TAKEN}, behind AS (
  INSERT INTO refused_events (:outbox.columns)
  SELECT :outbox.columns FROM taken WHERE aggregateid IN (SELECT aggregateid FROM refused_events)
  RETURNING position
)
{_AS_THEY_TRAVEL}, {_SOME_REFUSED}, position IN (SELECT position FROM behind) AS is_behind
FROM taken ORDER BY position
""",  # noqa: S608  our own text
    outbox=outbox,
)

LOG_BREAKS = Statement("""
SELECT topic, what, count(DISTINCT partition) AS partitions, min(noticed_at) AS since,
       (array_agg(said ORDER BY id))[1] AS said
FROM log_breaks WHERE acknowledged_at IS NULL GROUP BY topic, what ORDER BY topic, what
""")

LOG_BREAKS_ACKNOWLEDGE = Statement("""
UPDATE log_breaks SET acknowledged_at = now() WHERE acknowledged_at IS NULL RETURNING id
""")

# First it is noted how far back the inbox remembers from now on: a replay has to know what it cannot know.
INBOX_PRUNE = Statement("""
WITH noted AS (
  UPDATE inbox_memory SET forgotten_before = greatest(forgotten_before, now() - :age::interval) RETURNING true
)
DELETE FROM inbox
WHERE ctid IN (SELECT ctid FROM inbox WHERE received_at < now() - :age::interval LIMIT 5000)
  AND EXISTS (SELECT FROM noted)
""")

RETRIED_JOBS_PRUNE = Statement("""
DELETE FROM retried_jobs WHERE id IN (SELECT id FROM retried_jobs WHERE ended_at < now() - :age::interval LIMIT 5000)
""")

# What is purged is counted on, by the log that its place is in while that is locked. One that somebody restores at this
# moment is not purged, nor counted.
DISCARDED_PRUNE = Statement("""
WITH old AS (
  SELECT id, consumer, topic, partition FROM discarded_letters WHERE discarded_at < now() - :age::interval LIMIT 5000
), places AS (
  SELECT consumer, topic, partition, log, since_offset FROM consumer_offsets
  WHERE (consumer, topic, partition) IN (SELECT consumer, topic, partition FROM old)
  ORDER BY consumer, topic, partition FOR SHARE
), gone AS (
  DELETE FROM discarded_letters
  WHERE id IN (SELECT id FROM old) AND (SELECT count(*) FROM places) >= 0
  RETURNING consumer, topic, partition, "offset", log, counts_in,
            CASE WHEN length(type) <= 512 THEN type ELSE '' END AS type
), counted AS (
  INSERT INTO handled_counts AS counts (consumer, topic, partition, type, applied, ignored, repeated, discarded)
  SELECT consumer, topic, partition, type, 0, 0, 0, count(*) FROM gone JOIN places USING (consumer, topic, partition)
  WHERE "offset" >= since_offset AND coalesce(counts_in, gone.log, places.log) IS NOT DISTINCT FROM places.log
  GROUP BY consumer, topic, partition, type ORDER BY consumer, topic, partition, type
  ON CONFLICT (consumer, topic, partition, type) DO UPDATE SET discarded = counts.discarded + excluded.discarded
)
SELECT FROM gone
""")

PAUSES_PRUNE = Statement("""
DELETE FROM pauses WHERE id IN (SELECT id FROM pauses WHERE resumed_at < now() - :age::interval LIMIT 5000)
""")

# The original of a copy that is still parked, or may be restored, stays, and so do the reports of redrives that run.
EDITED_PRUNE = Statement("""
DELETE FROM edited_letters WHERE id IN (
  SELECT id FROM edited_letters AS e WHERE edited_at < now() - :age::interval
    AND NOT EXISTS (SELECT FROM dead_letters WHERE id = e.letter)
    AND NOT EXISTS (SELECT FROM discarded_letters WHERE id = e.letter) LIMIT 5000)
""")

REDRIVES_PRUNE = Statement("""
DELETE FROM redrives WHERE id IN (SELECT id FROM redrives WHERE ended_at < now() - :age::interval LIMIT 50)
""")

ACTS_PRUNE = Statement("""
DELETE FROM acts WHERE id IN (SELECT id FROM acts WHERE at < now() - :age::interval LIMIT 5000)
""")

# The new job replaces one of the same kind and key, also one that is running: its lease is gone, so it cannot settle.
# `excluded` is the row that was to be inserted, with the defaults of all columns that are not set here.
JOB_SCHEDULE = Statement(
    """
INSERT INTO jobs (:job.columns, due) SELECT :job.*, coalesce(due, now()) FROM :job
ON CONFLICT (kind, key) DO UPDATE SET :anew.excluded
""",
    job=rows(
        jobs.c.kind,
        jobs.c.key,
        jobs.c.data,
        column("due", DateTime(timezone=True)),
        jobs.c.correlationid,
        jobs.c.causationid,
        jobs.c.traceparent,
    ),
    anew=rows(jobs, without=("kind", "key")),
)

JOB_WITHDRAW = Statement(
    "DELETE FROM jobs WHERE (kind, key) IN (SELECT :job.* FROM :job)",
    job=tuples(jobs.c.kind, jobs.c.key),
)

# A claim moves `due` to the lease's end: a worker that dies needs no cleaning up, its jobs simply become due again.
# ANY(ARRAY(...)) and not IN: a join may run the subselect again, which then skips what it has claimed already and
# claims more than the limit. The commit need not reach the disk at once: a claim that a crash undoes is due again, and
# whoever had it cannot settle it any more. None is claimed of a kind that is paused, or rests. After a rest one is
# tried. Until it ends, or its lease does, nobody tries another: of several who come here one gets the breaker's row. It
# is locked before any job, as by whoever settles one.
_DUE = """SELECT id FROM jobs WHERE kind = :kind AND due <= now() AND parked_at IS NULL AND {may}
                     ORDER BY due LIMIT {most} FOR UPDATE SKIP LOCKED"""
_NOT_PAUSED = "NOT EXISTS (SELECT FROM pauses WHERE what = 'job' AND name = :kind AND resumed_at IS NULL)"
_NOT_RESTING = "NOT EXISTS (SELECT FROM breakers WHERE kind = :kind AND opened_at IS NOT NULL)"
JOB_CLAIM = Statement(
    f"""
WITH trial AS (
  UPDATE breakers SET rests_until = now() + :lease::interval
  WHERE kind = :kind AND rests_until <= now() AND {_NOT_PAUSED}
    AND EXISTS (SELECT FROM jobs WHERE jobs.kind = breakers.kind AND due <= now() AND parked_at IS NULL)
  RETURNING kind
)
UPDATE jobs SET lease = gen_random_uuid(), due = now() + :lease::interval, attempts = attempts + 1,
                first_attempt_at = coalesce(first_attempt_at, now())
FROM set_config('synchronous_commit', 'off', true)
WHERE id = ANY(ARRAY({_DUE.format(may=f"{_NOT_PAUSED} AND {_NOT_RESTING}", most=":most")})
            || ARRAY({_DUE.format(may="EXISTS (SELECT FROM trial)", most="1")}))
RETURNING id, kind, key, data, attempts, first_attempt_at, scheduled_at, correlationid, causationid, traceparent, lease,
          EXISTS (SELECT FROM trial) AS is_trial
"""  # noqa: S608  our own text
)

BREAKER_LOCK = Statement("""
INSERT INTO breakers (kind) VALUES (:kind) ON CONFLICT (kind) DO UPDATE SET kind = excluded.kind
RETURNING keys, rests, opened_at, rests_until, error
""")

BREAKER_SAVE = Statement("""
UPDATE breakers SET keys = :keys::text[], rests = :rests, opened_at = :opened_at, rests_until = :rests_until,
                    error = :error
WHERE kind = :kind
""")

BREAKER_TRY_ANOTHER = Statement("UPDATE breakers SET rests_until = now() WHERE kind = :kind AND opened_at IS NOT NULL")

# When the next job is due: none is while the kind is paused, nor before its rest is over. Whoever asks has just claimed
# none.
JOB_NEXT = Statement(
    f"""
SELECT greatest(due, (SELECT rests_until FROM breakers WHERE kind = :kind)) AS due
FROM jobs WHERE kind = :kind AND parked_at IS NULL AND {_NOT_PAUSED} ORDER BY jobs.due LIMIT 1
"""  # noqa: S608  our own text
)

NOTIFY = Statement("SELECT pg_notify(:channel, name) FROM unnest(:name::text[]) AS told(name)")

# Moves the lease's end away, but not nearer. As with a claim, the commit need not reach the disk at once.
JOB_RENEW = Statement("""
UPDATE jobs SET due = greatest(due, now() + :lasting::interval) FROM set_config('synchronous_commit', 'off', true)
WHERE id = :id AND lease = :lease RETURNING id
""")

JOB_LOCK = Statement("SELECT id FROM jobs WHERE id = :id AND lease = :lease FOR UPDATE")

# A job of a kind that succeeds says that what it calls is there. One that took several attempts leaves a trace of them.
JOBS_SETTLE = Statement(
    """
WITH calm AS (DELETE FROM breakers WHERE kind = :succeeded), ended AS (
  DELETE FROM jobs USING :done WHERE jobs.id = done.id AND jobs.lease = done.lease
  RETURNING jobs.id, kind, key, attempts, error, first_attempt_at, correlationid, causationid
), retried AS (
  INSERT INTO retried_jobs (:kept.columns) SELECT :kept.columns FROM ended WHERE attempts > 1
)
SELECT id FROM ended
""",
    done=rows(jobs.c.id, jobs.c.lease),
    kept=rows(retried_jobs, without=("id", "ended_at")),
)

JOB_RETRY = Statement("""
UPDATE jobs SET lease = NULL, due = now() + :delay::interval, error = :error WHERE id = :id AND lease = :lease
""")

# It waits for its turn: what went wrong at an attempt before is no longer what keeps it.
JOB_POSTPONE = Statement("""
UPDATE jobs SET lease = NULL, due = now() + :delay::interval, error = NULL, attempts = attempts - 1,
                first_attempt_at = CASE WHEN attempts > 1 THEN first_attempt_at END
WHERE id = :id AND lease = :lease
""")

JOB_PARK = Statement("""
UPDATE jobs SET lease = NULL, parked_at = now(), error = :error WHERE id = :id AND lease = :lease
""")

JOB_RESTART = Statement("""
UPDATE jobs SET parked_at = NULL, error = NULL, due = now(), attempts = 0, first_attempt_at = NULL
WHERE id = :id AND parked_at IS NOT NULL RETURNING kind
""")

JOB_KIND = Statement("SELECT kind FROM jobs WHERE id = :id")

# One in hand is due when its lease has ended: it is not hastened, or two would be at it.
JOB_HASTEN = Statement("""
UPDATE jobs SET due = least(due, now())
WHERE id = :id AND parked_at IS NULL AND (lease IS NULL OR due <= now()) RETURNING kind
""")

KEYS_PRUNE = Statement("""
DELETE FROM idempotency_keys WHERE ctid IN (
  SELECT ctid FROM idempotency_keys WHERE created_at < now() - :age::interval LIMIT 5000)
""")
