"""The hot statements, each with the reason for its shape. They go to asyncpg as they stand, once names are numbers."""

from sqlalchemy import BigInteger, DateTime, Integer, column

from backbone.storage.statement import Statement, rows, tuples
from backbone.storage.tables import (
    consumer_offsets,
    dead_letters,
    inbox,
    jobs,
    outbox,
    parked_keys,
)

ANEW = -1
"""Stored instead of an offset: somebody wishes the log to be read from its beginning (see `reread.py`)."""

# One row per key is locked and counted up, keys in sorted order so that two transactions never wait for each other in
# a ring. Only then are positions drawn (the outermost SELECT is sorted before its identity column is filled), so that
# for one key position order is commit order. Drawn earlier, a later commit could overtake an earlier one.
# `following` says how many of the same key come after a row: its sequence is the key's last one less those.
PUBLISH = Statement(
    """
WITH counted AS (
  INSERT INTO sequences AS s (key, last)
  SELECT key, count(*) FROM unnest(:event.aggregateid) AS key GROUP BY key ORDER BY key
  ON CONFLICT (key) DO UPDATE SET last = s.last + excluded.last
  RETURNING key, last
)
INSERT INTO outbox (:event.columns, aggregatetype, source, time, sequence)
SELECT :event.*, :service::text, '/sliceline/' || :service::text, :now::timestamptz, last - following
FROM :event.numbered JOIN counted ON counted.key = event.aggregateid
ORDER BY ordinal
""",
    event=rows(
        outbox,
        column("following", Integer),
        without=("position", "aggregatetype", "source", "time", "sequence", "specversion"),
    ),
)

# The lock ends with the transaction, also when its process was killed; a relay that does not get it stands by. Its
# commits need not reach the disk at once: a delete that a crash undoes only sends its events again. The outbox is
# mostly empty: a plan made then and kept would read the whole table for each batch of a backlog. So it goes by index.
RELAY_LOCK = Statement("""
SELECT pg_try_advisory_xact_lock(hashtext('sliceline.relay'))
FROM set_config('synchronous_commit', 'off', true) AS sooner, set_config('enable_seqscan', 'off', true) AS by_index
""")

# The oldest visible rows leave the outbox; no "last position" is remembered, because positions become visible out of
# order. A row's ctid is its place on the disk, the shortest way to it, and holds still: outbox rows are never updated.
# Columns come as bytes (`textsend`: UTF-8, as they would travel anyway) and in the form and order in which
# envelope.headers_of wants them, so that the relay has nothing to convert. RETURNING gives no order: sorted again.
_TAKEN = """
taken AS (
  DELETE FROM outbox WHERE ctid = ANY (ARRAY(SELECT ctid FROM outbox ORDER BY position LIMIT :most))
  RETURNING :outbox.*
)
"""
_AS_THEY_TRAVEL = """
SELECT textsend(payload) AS payload, textsend(id) AS id, textsend(type) AS type, textsend(source) AS source,
       textsend(subject) AS subject,
       textsend(to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS time,
       textsend(dataschema) AS dataschema, textsend(aggregateid) AS partitionkey,
       textsend(correlationid) AS correlationid, textsend(occurrenceid) AS occurrenceid,
       textsend(lpad(sequence::text, 20, '0')) AS sequence, textsend(causationid) AS causationid,
       textsend(traceparent) AS traceparent
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

# Moves the offsets of a batch's partitions from where it begins to where it ends, and locks them until it commits: a
# second owner of a partition waits here, then finds that the offset has moved, and gets no row for it. Locks are taken
# in sorted order. A batch that got all of its rows also knows whether any key is parked: whoever parks one moves the
# offset of the same partition in the same transaction, and a batch begins where a commit ended that we have seen.
_PLACE = (consumer_offsets.c.topic, consumer_offsets.c.partition)
OFFSETS_MOVE = Statement(
    """
INSERT INTO consumer_offsets AS o (consumer, :step.columns)
SELECT :consumer, :step.* FROM :step ORDER BY topic, partition
ON CONFLICT (consumer, topic, partition) DO UPDATE SET next_offset = excluded.next_offset
WHERE o.next_offset = (SELECT start FROM :step WHERE step.topic = o.topic AND step.partition = o.partition)
RETURNING EXISTS (SELECT FROM parked_keys WHERE consumer = :consumer) AS some_parked
""",
    step=tuples(*_PLACE, column("start", BigInteger), consumer_offsets.c.next_offset),
)

OFFSETS_READ = Statement("""
SELECT topic, partition, next_offset, log, leader_epoch, checked_offset FROM consumer_offsets WHERE consumer = :consumer
""")

# Takes places in the logs there are now. Who read a row that has moved since gets nothing for it, and looks again. How
# far the log had been read stays known where the place goes back: for a while Kafka's account says so too.
OFFSETS_PLACE = Statement(
    """
INSERT INTO consumer_offsets AS o (consumer, :place.columns, checked_offset)
SELECT :consumer, :place.*, next_offset FROM :place ORDER BY topic, partition
ON CONFLICT (consumer, topic, partition) DO UPDATE
  SET next_offset = excluded.next_offset, log = excluded.log, leader_epoch = excluded.leader_epoch,
      checked_offset = excluded.checked_offset,
      reached_offset = CASE WHEN coalesce(o.log, excluded.log) = excluded.log
                            THEN greatest(o.reached_offset, o.next_offset) END
WHERE o.next_offset = (SELECT was FROM :place WHERE place.topic = o.topic AND place.partition = o.partition)
RETURNING topic, partition
""",
    place=tuples(
        *_PLACE,
        column("was", BigInteger),
        consumer_offsets.c.next_offset,
        consumer_offsets.c.log,
        consumer_offsets.c.leader_epoch,
    ),
)

# What a look has found to fit: up to here the log was part of this epoch.
OFFSETS_CHECKED = Statement(
    """
UPDATE consumer_offsets AS o SET leader_epoch = fits.leader_epoch, checked_offset = fits.checked_offset
FROM (SELECT :place.* FROM :place ORDER BY topic, partition) AS fits
WHERE o.consumer = :consumer AND o.topic = fits.topic AND o.partition = fits.partition AND o.log = fits.log
""",
    place=tuples(*_PLACE, consumer_offsets.c.log, consumer_offsets.c.leader_epoch, consumer_offsets.c.checked_offset),
)

# -1 asks for the beginning: whoever reads there is fenced off and seeks it. No row is deleted, for a missing one would
# let the running batch pass.
OFFSETS_ANEW = Statement("""
UPDATE consumer_offsets SET next_offset = -1, reached_offset = greatest(reached_offset, next_offset)
WHERE consumer = :consumer AND (:topic::text IS NULL OR topic = :topic) RETURNING topic
""")

# Several replicas may notice the same; one waits for the other's commit, and gets no row.
LOG_BREAK = Statement("""
INSERT INTO log_breaks (consumer, topic, partition, what, said) VALUES (:consumer, :topic, :partition, :what, :said)
ON CONFLICT (consumer, topic, partition, what, said) WHERE acknowledged_at IS NULL DO NOTHING RETURNING id
""")

LOG_BREAKS = Statement("""
SELECT topic, what, count(DISTINCT partition) AS partitions, min(noticed_at) AS since,
       (array_agg(said ORDER BY id))[1] AS said
FROM log_breaks WHERE acknowledged_at IS NULL GROUP BY topic, what ORDER BY topic, what
""")

LOG_BREAKS_ACKNOWLEDGE = Statement("""
UPDATE log_breaks SET acknowledged_at = now() WHERE acknowledged_at IS NULL RETURNING id
""")

# What is returned is new; an occurrence that is already there was handled before.
INBOX_CLAIM = Statement(
    """
INSERT INTO inbox (consumer, :happening.columns)
SELECT :consumer, :happening.* FROM :happening ORDER BY name, occurrence
ON CONFLICT DO NOTHING RETURNING name, occurrence
""",
    happening=tuples(inbox.c.name, inbox.c.occurrence),
)

INBOX_PRUNE = Statement("""
DELETE FROM inbox WHERE ctid IN (SELECT ctid FROM inbox WHERE received_at < now() - :age::interval LIMIT 5000)
""")

# The consumer and a redrive both take this lock, so that no event of the key slips between them.
PARKED_LOCK = Statement(
    """
SELECT topic, key FROM parked_keys
WHERE consumer = :consumer AND (topic, key) IN (SELECT :wanted.* FROM :wanted)
ORDER BY topic, key FOR UPDATE
""",
    wanted=tuples(parked_keys.c.topic, parked_keys.c.key),
)

PARK_KEY = Statement("""
INSERT INTO parked_keys (consumer, topic, key) VALUES (:consumer, :topic, :key) ON CONFLICT DO NOTHING
""")

# A place is known with the log it is in: the offset of the same transaction's batch tells which.
DEAD_LETTER = Statement("""
INSERT INTO dead_letters (consumer, topic, partition, "offset", key, type, error, headers, record_key, value, log)
SELECT :consumer, :topic, :partition, :offset, :key, :type, :error, :headers, :record_key, :value,
       (SELECT log FROM consumer_offsets WHERE consumer = :consumer AND topic = :topic AND partition = :partition)
ON CONFLICT DO NOTHING
""")

# The new job replaces one of the same kind and key, also one that is running: its lease is gone, so it cannot settle.
JOB_SCHEDULE = Statement(
    """
INSERT INTO jobs (:job.columns, due) SELECT :job.*, coalesce(due, now()) FROM :job
ON CONFLICT (kind, key) DO UPDATE SET
  data = excluded.data, due = excluded.due, scheduled_at = now(), attempts = 0, first_attempt_at = NULL, lease = NULL,
  error = NULL, parked_at = NULL, correlationid = excluded.correlationid, causationid = excluded.causationid,
  traceparent = excluded.traceparent
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
)

JOB_WITHDRAW = Statement(
    "DELETE FROM jobs WHERE (kind, key) IN (SELECT :job.* FROM :job)",
    job=tuples(jobs.c.kind, jobs.c.key),
)

# A claim moves `due` to the lease's end: a worker that dies needs no cleaning up, its jobs simply become due again.
# ANY(ARRAY(...)) and not IN: a join may run the subselect again, which then skips what it has claimed already and
# claims more than the limit. The commit need not reach the disk at once: a claim that a crash undoes is due again, and
# whoever had it cannot settle it any more.
JOB_CLAIM = Statement("""
UPDATE jobs SET lease = gen_random_uuid(), due = now() + :lease::interval, attempts = attempts + 1,
                first_attempt_at = coalesce(first_attempt_at, now())
FROM set_config('synchronous_commit', 'off', true)
WHERE id = ANY(ARRAY(SELECT id FROM jobs WHERE kind = :kind AND due <= now() AND parked_at IS NULL
                     ORDER BY due LIMIT :most FOR UPDATE SKIP LOCKED))
RETURNING id, kind, key, data, attempts, first_attempt_at, scheduled_at, correlationid, causationid, traceparent, lease
""")

# Moves the lease's end away, but not nearer. As with a claim, the commit need not reach the disk at once.
JOB_RENEW = Statement("""
UPDATE jobs SET due = greatest(due, now() + :lasting::interval) FROM set_config('synchronous_commit', 'off', true)
WHERE id = :id AND lease = :lease RETURNING id
""")

JOB_LOCK = Statement("SELECT id FROM jobs WHERE id = :id AND lease = :lease FOR UPDATE")

JOBS_SETTLE = Statement(
    "DELETE FROM jobs USING :done WHERE jobs.id = done.id AND jobs.lease = done.lease RETURNING jobs.id",
    done=rows(jobs.c.id, jobs.c.lease),
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

PARKED_KEYS = Statement("""
SELECT topic, key FROM parked_keys WHERE consumer = :consumer AND (:key::text IS NULL OR key = :key)
ORDER BY parked_at, topic, key
""")

LETTER_OLDEST = Statement("""
SELECT id, topic, partition, "offset", headers, record_key, value FROM dead_letters
WHERE consumer = :consumer AND topic = :topic AND key = :key ORDER BY id LIMIT 1
""")

LETTER_DELETE = Statement("DELETE FROM dead_letters WHERE id = :id")

LETTER = Statement("""
SELECT topic, partition, "offset", key, headers, record_key, value FROM dead_letters
WHERE consumer = :consumer AND id = :id
""")

LETTER_DISCARD = Statement(
    """
WITH gone AS (DELETE FROM dead_letters AS letter WHERE id = :id RETURNING :letter.*)
INSERT INTO discarded_letters (:letter.columns, discarded_by, reason)
SELECT :letter.columns, :by, :reason FROM gone RETURNING topic, partition, "offset", key, type, error
""",
    letter=dead_letters,
)

# A place alone does not tell: after a log was cut back another record may have it. A letter that code parked which
# knew no logs is of the log there is.
DISCARDED_PLACES = Statement(
    """
SELECT broken.topic, broken.partition, broken."offset" FROM :broken
JOIN consumer_offsets AS o
  ON o.consumer = :consumer AND o.topic = broken.topic AND o.partition = broken.partition
JOIN discarded_letters AS gone
  ON gone.consumer = :consumer AND gone.topic = broken.topic AND gone.partition = broken.partition
     AND gone."offset" = broken."offset" AND coalesce(gone.log, o.log) = o.log
WHERE gone.record_key IS NOT DISTINCT FROM broken.record_key AND gone.value IS NOT DISTINCT FROM broken.value
""",
    broken=rows(
        dead_letters.c.topic,
        dead_letters.c.partition,
        dead_letters.c.offset,
        dead_letters.c.record_key,
        dead_letters.c.value,
        record_key="key",
    ),
)

LETTER_BLAME = Statement("UPDATE dead_letters SET error = :error WHERE id = :id")

# Said in the transaction that takes a letter away: a key never stays closed with nothing behind it.
OPEN_KEY = Statement("""
DELETE FROM parked_keys
WHERE consumer = :consumer AND topic = :topic AND key = :key
  AND NOT EXISTS (SELECT FROM dead_letters WHERE consumer = :consumer AND topic = :topic AND key = :key)
""")

KEYS_PRUNE = Statement("""
DELETE FROM idempotency_keys WHERE ctid IN (
  SELECT ctid FROM idempotency_keys WHERE created_at < now() - :age::interval LIMIT 5000)
""")
