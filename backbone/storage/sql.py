"""The hot statements, each with the reason for its shape. They go to asyncpg as they stand.

What a statement returns is named column by column: a plan that returns "all" is void once a migration adds one.
"""

ANEW = -1
"""Stored instead of an offset: somebody wishes the log to be read from its beginning (see `reread.py`)."""

# One row per key is locked and counted up, keys in sorted order so that two transactions never wait for each other in
# a ring. Only then are positions drawn (the outermost SELECT is sorted before its identity column is filled), so that
# for one key position order is commit order. Drawn earlier, a later commit could overtake an earlier one.
# `following` says how many of the same key come after a row: its sequence is the key's last one less those.
PUBLISH = """
WITH counted AS (
  INSERT INTO sequences AS s (key, last)
  SELECT key, count(*) FROM unnest($4::text[]) AS key GROUP BY key ORDER BY key
  ON CONFLICT (key) DO UPDATE SET last = s.last + excluded.last
  RETURNING key, last
)
INSERT INTO outbox (id, aggregatetype, aggregateid, type, source, subject, time, dataschema, correlationid, causationid,
                    occurrenceid, sequence, traceparent, payload)
SELECT id, $1::text, aggregateid, type, '/sliceline/' || $1::text, subject, $2::timestamptz, dataschema, correlationid,
       causationid, occurrenceid, last - following, traceparent, payload
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
            $11::text[], $12::text[], $13::int[])
  WITH ORDINALITY AS row(id, aggregateid, type, subject, dataschema, correlationid, causationid, occurrenceid,
                         traceparent, payload, following, ordinal)
JOIN counted ON counted.key = aggregateid
ORDER BY ordinal
"""

# The lock ends with the transaction, also when its process was killed; a relay that does not get it stands by. Its
# commits need not reach the disk at once: a delete that a crash undoes only sends its events again. The outbox is
# mostly empty: a plan made then and kept would read the whole table for each batch of a backlog. So it goes by index.
RELAY_LOCK = """
SELECT pg_try_advisory_xact_lock(hashtext('sliceline.relay'))
FROM set_config('synchronous_commit', 'off', true) AS sooner, set_config('enable_seqscan', 'off', true) AS by_index
"""

# The oldest visible rows leave the outbox; no "last position" is remembered, because positions become visible out of
# order. A row's ctid is its place on the disk, the shortest way to it, and holds still: outbox rows are never updated.
# Columns come as bytes (`textsend`: UTF-8, as they would travel anyway) and in the form and order in which
# envelope.headers_of wants them, so that the relay has nothing to convert. RETURNING gives no order: sorted again.
OUTBOX_COLUMNS = """
  position, id, aggregatetype, aggregateid, type, source, subject, time, dataschema, correlationid, causationid,
  occurrenceid, sequence, traceparent, specversion, payload
"""
_TAKEN = f"""
taken AS (
  DELETE FROM outbox WHERE ctid = ANY (ARRAY(SELECT ctid FROM outbox ORDER BY position LIMIT $1))
  RETURNING {OUTBOX_COLUMNS}
)
"""  # noqa: S608  our own text
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
RELAY_TAKE = f"WITH {_TAKEN} {_AS_THEY_TRAVEL}, {_SOME_REFUSED} FROM taken ORDER BY position"

# The same while some key is closed: its rows are put behind the refused one, at their own positions, and come back
# only to be counted. One statement, so that no row becomes visible between the two looks.
RELAY_TAKE_OPEN = f"""
WITH {_TAKEN}, behind AS (
  INSERT INTO refused_events ({OUTBOX_COLUMNS})
  SELECT {OUTBOX_COLUMNS} FROM taken WHERE aggregateid IN (SELECT aggregateid FROM refused_events)
  RETURNING position
)
{_AS_THEY_TRAVEL}, {_SOME_REFUSED}, position IN (SELECT position FROM behind) AS is_behind
FROM taken ORDER BY position
"""  # noqa: S608  our own text

# Moves the offsets of a batch's partitions from where it begins to where it ends, and locks them until it commits: a
# second owner of a partition waits here, then finds that the offset has moved, and gets no row for it. Locks are taken
# in sorted order. A batch that got all of its rows also knows whether any key is parked: whoever parks one moves the
# offset of the same partition in the same transaction, and a batch begins where a commit ended that we have seen.
OFFSETS_MOVE = """
INSERT INTO consumer_offsets AS o (consumer, topic, partition, next_offset)
SELECT $1, topic, partition, next FROM unnest($2::text[], $3::int[], $5::bigint[]) AS row(topic, partition, next)
ORDER BY topic, partition
ON CONFLICT (consumer, topic, partition) DO UPDATE SET next_offset = excluded.next_offset
WHERE o.next_offset = (SELECT start FROM unnest($2::text[], $3::int[], $4::bigint[]) AS row(topic, partition, start)
                       WHERE row.topic = o.topic AND row.partition = o.partition)
RETURNING EXISTS (SELECT FROM parked_keys WHERE consumer = $1) AS some_parked
"""

OFFSETS_READ = """
SELECT topic, partition, next_offset, log, leader_epoch, checked_offset FROM consumer_offsets WHERE consumer = $1
"""

# Takes places in the logs there are now. Who read a row that has moved since gets nothing for it, and looks again. How
# far the log had been read stays known where the place goes back: for a while Kafka's account says so too.
OFFSETS_PLACE = """
INSERT INTO consumer_offsets AS o (consumer, topic, partition, next_offset, log, leader_epoch, checked_offset)
SELECT $1, topic, partition, next, log, epoch, next
FROM unnest($2::text[], $3::int[], $5::bigint[], $6::uuid[], $7::int[]) AS row(topic, partition, next, log, epoch)
ORDER BY topic, partition
ON CONFLICT (consumer, topic, partition) DO UPDATE
  SET next_offset = excluded.next_offset, log = excluded.log, leader_epoch = excluded.leader_epoch,
      checked_offset = excluded.checked_offset,
      reached_offset = CASE WHEN coalesce(o.log, excluded.log) = excluded.log
                            THEN greatest(o.reached_offset, o.next_offset) END
WHERE o.next_offset = (SELECT was FROM unnest($2::text[], $3::int[], $4::bigint[]) AS row(topic, partition, was)
                       WHERE row.topic = o.topic AND row.partition = o.partition)
RETURNING topic, partition
"""

# What a look has found to fit: up to here the log was part of this epoch.
OFFSETS_CHECKED = """
UPDATE consumer_offsets AS o SET leader_epoch = row.epoch, checked_offset = row.checked
FROM (SELECT * FROM unnest($2::text[], $3::int[], $4::uuid[], $5::int[], $6::bigint[])
        AS row(topic, partition, log, epoch, checked) ORDER BY topic, partition) AS row
WHERE o.consumer = $1 AND o.topic = row.topic AND o.partition = row.partition AND o.log = row.log
"""

# -1 asks for the beginning: whoever reads there is fenced off and seeks it. No row is deleted, for a missing one would
# let the running batch pass.
OFFSETS_ANEW = """
UPDATE consumer_offsets SET next_offset = -1, reached_offset = greatest(reached_offset, next_offset)
WHERE consumer = $1 AND ($2::text IS NULL OR topic = $2) RETURNING topic
"""

# Several replicas may notice the same; one waits for the other's commit, and gets no row.
LOG_BREAK = """
INSERT INTO log_breaks (consumer, topic, partition, what, said) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (consumer, topic, partition, what, said) WHERE acknowledged_at IS NULL DO NOTHING RETURNING id
"""

LOG_BREAKS = """
SELECT topic, what, count(DISTINCT partition) AS partitions, min(noticed_at) AS since,
       (array_agg(said ORDER BY id))[1] AS said
FROM log_breaks WHERE acknowledged_at IS NULL GROUP BY topic, what ORDER BY topic, what
"""

LOG_BREAKS_ACKNOWLEDGE = "UPDATE log_breaks SET acknowledged_at = now() WHERE acknowledged_at IS NULL RETURNING id"

# What is returned is new; an occurrence that is already there was handled before.
INBOX_CLAIM = """
INSERT INTO inbox (consumer, name, occurrence)
SELECT $1, name, occurrence FROM unnest($2::text[], $3::text[]) AS row(name, occurrence) ORDER BY name, occurrence
ON CONFLICT DO NOTHING RETURNING name, occurrence
"""

INBOX_PRUNE = """
DELETE FROM inbox WHERE ctid IN (SELECT ctid FROM inbox WHERE received_at < now() - $1::interval LIMIT 5000)
"""

# The consumer and a redrive both take this lock, so that no event of the key slips between them.
PARKED_LOCK = """
SELECT topic, key FROM parked_keys
WHERE consumer = $1 AND (topic, key) IN (SELECT * FROM unnest($2::text[], $3::text[]))
ORDER BY topic, key FOR UPDATE
"""

PARK_KEY = "INSERT INTO parked_keys (consumer, topic, key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

# A place is known with the log it is in: the offset of the same transaction's batch tells which.
DEAD_LETTER = """
INSERT INTO dead_letters (consumer, topic, partition, "offset", key, type, error, headers, record_key, value, log)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
       (SELECT log FROM consumer_offsets WHERE consumer = $1 AND topic = $2 AND partition = $3)
ON CONFLICT DO NOTHING
"""

# The new job replaces one of the same kind and key, also one that is running: its lease is gone, so it cannot settle.
JOB_SCHEDULE = """
INSERT INTO jobs (kind, key, data, due, correlationid, causationid, traceparent)
SELECT kind, key, data, coalesce(due, now()), correlationid, causationid, traceparent
FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
  AS row(kind, key, data, due, correlationid, causationid, traceparent)
ON CONFLICT (kind, key) DO UPDATE SET
  data = excluded.data, due = excluded.due, scheduled_at = now(), attempts = 0, first_attempt_at = NULL, lease = NULL,
  error = NULL, parked_at = NULL, correlationid = excluded.correlationid, causationid = excluded.causationid,
  traceparent = excluded.traceparent
"""

JOB_WITHDRAW = """
DELETE FROM jobs WHERE (kind, key) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""

# A claim moves `due` to the lease's end: a worker that dies needs no cleaning up, its jobs simply become due again.
# ANY(ARRAY(...)) and not IN: a join may run the subselect again, which then skips what it has claimed already and
# claims more than the limit. The commit need not reach the disk at once: a claim that a crash undoes is due again, and
# whoever had it cannot settle it any more.
JOB_CLAIM = """
UPDATE jobs SET lease = gen_random_uuid(), due = now() + $2::interval, attempts = attempts + 1,
                first_attempt_at = coalesce(first_attempt_at, now())
FROM set_config('synchronous_commit', 'off', true)
WHERE id = ANY(ARRAY(SELECT id FROM jobs WHERE kind = $1 AND due <= now() AND parked_at IS NULL
                     ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED))
RETURNING id, kind, key, data, attempts, first_attempt_at, scheduled_at, correlationid, causationid, traceparent, lease
"""

# Moves the lease's end away, but not nearer. As with a claim, the commit need not reach the disk at once.
JOB_RENEW = """
UPDATE jobs SET due = greatest(due, now() + $3::interval) FROM set_config('synchronous_commit', 'off', true)
WHERE id = $1 AND lease = $2 RETURNING id
"""

JOB_LOCK = "SELECT id FROM jobs WHERE id = $1 AND lease = $2 FOR UPDATE"

JOBS_SETTLE = """
DELETE FROM jobs USING unnest($1::bigint[], $2::uuid[]) AS done(id, lease)
WHERE jobs.id = done.id AND jobs.lease = done.lease RETURNING jobs.id
"""

JOB_RETRY = """
UPDATE jobs SET lease = NULL, due = now() + $3::interval, error = $4 WHERE id = $1 AND lease = $2
"""

# It waits for its turn: what went wrong at an attempt before is no longer what keeps it.
JOB_POSTPONE = """
UPDATE jobs SET lease = NULL, due = now() + $3::interval, error = NULL, attempts = attempts - 1,
                first_attempt_at = CASE WHEN attempts > 1 THEN first_attempt_at END
WHERE id = $1 AND lease = $2
"""

JOB_PARK = "UPDATE jobs SET lease = NULL, parked_at = now(), error = $3 WHERE id = $1 AND lease = $2"

JOB_RESTART = """
UPDATE jobs SET parked_at = NULL, error = NULL, due = now(), attempts = 0, first_attempt_at = NULL
WHERE id = $1 AND parked_at IS NOT NULL RETURNING kind
"""

JOB_KIND = "SELECT kind FROM jobs WHERE id = $1"

PARKED_KEYS = """
SELECT topic, key FROM parked_keys WHERE consumer = $1 AND ($2::text IS NULL OR key = $2) ORDER BY parked_at, topic, key
"""

LETTER_OLDEST = """
SELECT id, topic, partition, "offset", headers, record_key, value FROM dead_letters
WHERE consumer = $1 AND topic = $2 AND key = $3 ORDER BY id LIMIT 1
"""

LETTER_DELETE = "DELETE FROM dead_letters WHERE id = $1"

LETTER = """
SELECT topic, partition, "offset", key, headers, record_key, value FROM dead_letters WHERE consumer = $1 AND id = $2
"""

LETTER_DISCARD = """
WITH gone AS (
  DELETE FROM dead_letters WHERE id = $1
  RETURNING id, consumer, topic, partition, "offset", key, type, error, headers, record_key, value, parked_at,
            log
)
INSERT INTO discarded_letters (id, consumer, topic, partition, "offset", key, type, error, headers, record_key, value,
                               parked_at, log, discarded_by, reason)
SELECT id, consumer, topic, partition, "offset", key, type, error, headers, record_key, value, parked_at, log, $2, $3
FROM gone RETURNING topic, partition, "offset", key, type, error
"""

# A place alone does not tell: after a log was cut back another record may have it. A letter that code parked which
# knew no logs is of the log there is.
DISCARDED_PLACES = """
SELECT row.topic, row.partition, row."offset"
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::bytea[])
  AS row(topic, partition, "offset", record_key, value)
JOIN consumer_offsets AS o ON o.consumer = $1 AND o.topic = row.topic AND o.partition = row.partition
JOIN discarded_letters AS gone
  ON gone.consumer = $1 AND gone.topic = row.topic AND gone.partition = row.partition AND gone."offset" = row."offset"
     AND coalesce(gone.log, o.log) = o.log
WHERE gone.record_key IS NOT DISTINCT FROM row.record_key AND gone.value IS NOT DISTINCT FROM row.value
"""

LETTER_BLAME = "UPDATE dead_letters SET error = $2 WHERE id = $1"

# Said in the transaction that takes a letter away: a key never stays closed with nothing behind it.
OPEN_KEY = """
DELETE FROM parked_keys
WHERE consumer = $1 AND topic = $2 AND key = $3
  AND NOT EXISTS (SELECT FROM dead_letters WHERE consumer = $1 AND topic = $2 AND key = $3)
"""

# Waits for a concurrent twin, whose row is not yet visible, until it ends. DO UPDATE and not DO NOTHING: only so the
# same statement also returns a row that is there already, and no housekeeping can delete it in between. A committed
# row always has a status, so one without is ours, claimed a moment ago.
KEY_CLAIM = """
INSERT INTO idempotency_keys AS kept (scope, key, fingerprint, meaning) VALUES ($1, $2, $3, $4)
ON CONFLICT (scope, key) DO UPDATE SET key = excluded.key
RETURNING fingerprint, meaning, status, headers::text AS headers, body
"""

KEY_KEEP = """
UPDATE idempotency_keys SET status = $3, headers = $4::text::jsonb, body = $5 WHERE scope = $1 AND key = $2
"""

# The same for many keys whose answers are known beforehand. A row that was there has been updated, so it has an xmax.
KEYS_CLAIM = """
INSERT INTO idempotency_keys AS kept (scope, key, fingerprint, meaning, status, headers, body)
SELECT scope, key, fingerprint, meaning, status, headers::jsonb, body
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::int[], $6::text[], $7::bytea[])
  AS row(scope, key, fingerprint, meaning, status, headers, body)
ORDER BY scope, key
ON CONFLICT (scope, key) DO UPDATE SET key = excluded.key
RETURNING scope, key, fingerprint, meaning, status, headers::text AS headers, body, xmax = 0 AS is_new
"""

KEYS_PRUNE = """
DELETE FROM idempotency_keys WHERE ctid IN (
  SELECT ctid FROM idempotency_keys WHERE created_at < now() - $1::interval LIMIT 5000)
"""
