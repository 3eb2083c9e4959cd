"""Holds what a consumer says to its database, each statement with the reason for its shape."""

from sqlalchemy import BigInteger, DateTime, Integer, Text, Uuid, column

from backbone.storage.statement import Statement, rows, tuples
from backbone.storage.tables import (
    SOUND_TYPE,
    consumer_offsets,
    dead_letters,
    handled_counts,
    inbox,
    log_breaks,
    parked_keys,
    redrive_outcomes,
)

ANEW = -1
"""Stored instead of an offset: somebody wishes the log to be read from its beginning (see `reread.py`)."""
_PLACE = (consumer_offsets.c.topic, consumer_offsets.c.partition)

# Moves the offsets of a batch's partitions from where it begins to where it ends, and locks them until it commits: a
# second owner of a partition waits here, then finds that the offset has moved, and gets no row for it. Locks are taken
# in sorted order. A batch that got all of its rows also knows whether any key is parked: whoever parks one moves the
# offset of the same partition in the same transaction, and a batch begins where a commit ended that we have seen. (A
# key that somebody pauses at this moment is met by the next batch.) Of a paused consumer no batch is begun.
OFFSETS_MOVE = Statement(
    """
INSERT INTO consumer_offsets AS o (consumer, :step.columns, moved_to, since_offset, since_at)
SELECT :consumer, :step.*, next_offset, start, now() FROM :step ORDER BY topic, partition
ON CONFLICT (consumer, topic, partition) DO UPDATE SET :step.excluded, moved_to = excluded.moved_to
WHERE o.next_offset = (SELECT start FROM :step WHERE step.topic = o.topic AND step.partition = o.partition)
RETURNING topic, partition, since_offset, counted_offset,
  EXISTS (SELECT FROM parked_keys WHERE consumer = :consumer) AS some_parked,
  EXISTS (SELECT FROM pauses WHERE what = 'consumer' AND name = :consumer AND resumed_at IS NULL) AS is_paused
""",
    step=tuples(*_PLACE, column("start", BigInteger), consumer_offsets.c.next_offset),
)

OFFSETS_READ = Statement("""
SELECT topic, partition, next_offset, log, leader_epoch, checked_offset FROM consumer_offsets WHERE consumer = :consumer
""")

# Takes places in the logs there are now. Who read a row that has moved since gets nothing for it, and looks again. How
# far the log had been read stays known where the place goes back: for a while Kafka's account says so too. Counting
# begins with the place, and anew in another log, and where a release that does not count has moved it on; what stands
# beyond the end of one that was cut back is not counted.
_STILL_COUNTED = "coalesce(o.log, excluded.log) = excluded.log AND coalesce(o.moved_to = o.next_offset, true)"
OFFSETS_PLACE = Statement(
    f"""
INSERT INTO consumer_offsets AS o (consumer, :place.columns, checked_offset, moved_to, since_offset, since_at)
SELECT :consumer, :place.*, next_offset, next_offset, next_offset, now() FROM :place ORDER BY topic, partition
ON CONFLICT (consumer, topic, partition) DO UPDATE
  SET :place.excluded, checked_offset = excluded.checked_offset, moved_to = excluded.moved_to,
      reached_offset = CASE WHEN coalesce(o.log, excluded.log) = excluded.log
                            THEN greatest(o.reached_offset, o.next_offset) END,
      since_offset = CASE WHEN {_STILL_COUNTED} THEN coalesce(o.since_offset, excluded.since_offset)
                          ELSE excluded.since_offset END,
      since_at = CASE WHEN {_STILL_COUNTED} AND o.since_offset IS NOT NULL THEN o.since_at ELSE excluded.since_at END,
      counted_offset = CASE WHEN {_STILL_COUNTED}
                            THEN CASE WHEN o.next_offset > excluded.next_offset THEN excluded.next_offset
                                      ELSE o.counted_offset END END
WHERE o.next_offset = (SELECT was FROM :place WHERE place.topic = o.topic AND place.partition = o.partition)
RETURNING topic, partition, since_at = now() AS counts_anew
""",  # noqa: S608
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
UPDATE consumer_offsets
SET next_offset = -1, moved_to = CASE WHEN moved_to = next_offset THEN -1 ELSE moved_to END,
    reached_offset = greatest(reached_offset, next_offset),
    counted_offset = greatest(counted_offset, next_offset)
WHERE consumer = :consumer AND (:topic::text IS NULL OR topic = :topic) RETURNING topic
""")

# Several replicas may notice the same; one waits for the other's commit, and gets no row.
LOG_BREAK = Statement(
    """
INSERT INTO log_breaks (consumer, :broken.columns) SELECT :consumer, :broken.* FROM :broken
ON CONFLICT (consumer, topic, partition, what, said) WHERE acknowledged_at IS NULL DO NOTHING RETURNING id
""",
    broken=rows(
        log_breaks,
        without=("id", "consumer", "noticed_at", "acknowledged_at"),
        topic=lambda broken: broken.place[0],
        partition=lambda broken: broken.place[1],
    ),
)

_NOTE = """
INSERT INTO inbox (consumer, :happening.columns)
SELECT :consumer, :happening.* FROM :happening ORDER BY name, occurrence
ON CONFLICT DO NOTHING RETURNING name, occurrence
"""
# What is returned is new; an occurrence that is already there was handled before.
INBOX_ADD = Statement(_NOTE, happening=tuples(inbox.c.name, inbox.c.occurrence))

# The same for a batch that has failed before: with the attempts that it took.
INBOX_ADD_TRIED = Statement(
    _NOTE,
    happening=tuples(inbox.c.name, inbox.c.occurrence, inbox.c.attempts, inbox.c.errors),
)

# What became of events here. When one was handled nobody has to write down: Postgres keeps account of commits, where it
# is told to (track_commit_timestamp), and the row in the inbox knows its transaction, which began when the batch did.
# `asked.log` is the one under which a replay parks the event, also at a place that nobody counts.
OUTCOMES = Statement(
    """
SELECT asked.at, letter.parked_at, letter.error, letter.failed_at,
       gone.discarded_at, gone.error AS discarded_error, gone.failed_at AS discarded_failed_at,
       i.received_at AS began_at, i.errors, coalesce(letter.attempts, gone.attempts, i.attempts) AS attempts,
       CASE WHEN current_setting('track_commit_timestamp') = 'on'
            THEN pg_xact_commit_timestamp(i.xmin) END AS handled_at,
       coalesce(greatest(o.next_offset, o.reached_offset) > asked."offset", false) AS is_passed
FROM :asked
LEFT JOIN inbox AS i ON i.consumer = :consumer AND i.name = asked.name AND i.occurrence = asked.occurrence
LEFT JOIN consumer_offsets AS o
  ON o.consumer = :consumer AND o.topic = asked.topic AND o.partition = asked.partition
LEFT JOIN LATERAL (
  SELECT parked_at, error, failed_at, attempts FROM dead_letters AS d
  WHERE d.consumer = :consumer AND d.topic = asked.topic AND d.partition = asked.partition
    AND d."offset" = asked."offset"
    AND (coalesce(d.counts_in, d.log, o.log) IS NOT DISTINCT FROM o.log OR d.log = asked.log)
  LIMIT 1) AS letter ON true
LEFT JOIN LATERAL (
  SELECT discarded_at, error, failed_at, attempts FROM discarded_letters AS d
  WHERE d.consumer = :consumer AND d.topic = asked.topic AND d.partition = asked.partition
    AND d."offset" = asked."offset"
    AND (coalesce(d.counts_in, d.log, o.log) IS NOT DISTINCT FROM o.log OR d.log = asked.log)
  LIMIT 1) AS gone ON true
""",
    asked=tuples(
        column("at", Integer),
        inbox.c.name,
        inbox.c.occurrence,
        dead_letters.c.topic,
        dead_letters.c.partition,
        dead_letters.c.offset,
        dead_letters.c.log,
    ),
)

JOBS_OF_STORIES = Statement(
    """
SELECT kind, key, attempts, error, due, first_attempt_at, parked_at, correlationid, causationid FROM jobs
WHERE correlationid = ANY(:stories::text[]) ORDER BY id LIMIT :most
"""
)

RETRIED_OF_STORIES = Statement(
    """
SELECT kind, key, attempts, error, first_attempt_at, ended_at, correlationid, causationid FROM retried_jobs
WHERE correlationid = ANY(:stories::text[]) ORDER BY id LIMIT :most
"""
)

INBOX_KNOWN = Statement(
    """
SELECT name, occurrence FROM inbox JOIN :happening USING (name, occurrence) WHERE inbox.consumer = :consumer
""",
    happening=tuples(inbox.c.name, inbox.c.occurrence),
)

# One replay at a time, so that a key's events stay in order, and none while the inbox is purged.
REPLAY_LOCK = Statement("SELECT forgotten_before FROM inbox_memory FOR UPDATE")

REMEMBERED_SINCE = Statement("SELECT forgotten_before FROM inbox_memory")

# An event that is parked already need not be parked again because it is replayed.
LETTERS_KNOWN = Statement(
    """
SELECT topic, key, event_id FROM :wanted
WHERE EXISTS (SELECT FROM dead_letters AS d WHERE d.consumer = :consumer AND d.topic = wanted.topic
              AND d.key = wanted.key AND d.headers @> jsonb_build_array(jsonb_build_array('ce_id', event_id)))
""",
    wanted=tuples(dead_letters.c.topic, dead_letters.c.key, column("event_id", Text)),
)

# An occurrence that was handled before is not of this transaction's time, and stays.
INBOX_FORGET = Statement(
    """
DELETE FROM inbox AS i USING :told
WHERE i.consumer = :consumer AND i.name = told.name AND i.occurrence = told.occurrence
  AND i.received_at = told.received_at
""",
    told=tuples(inbox.c.name, inbox.c.occurrence, inbox.c.received_at),
)

# The consumer and a redrive both take this lock, so that no event of the key slips between them.
PARKED_LOCK = Statement(
    """
SELECT topic, key, pause FROM parked_keys
WHERE consumer = :consumer AND (topic, key) IN (SELECT :wanted.* FROM :wanted)
ORDER BY topic, key FOR UPDATE
""",
    wanted=tuples(parked_keys.c.topic, parked_keys.c.key),
)

PARKED_TOPICS = Statement("SELECT DISTINCT topic FROM parked_keys WHERE consumer = :consumer")

# It locks also those that are there: whoever opens one at this moment is waited for, and it is closed anew.
PARK_KEY = Statement(
    """
INSERT INTO parked_keys (consumer, :parked.columns) SELECT :consumer, :parked.* FROM :parked ORDER BY topic, key
ON CONFLICT (consumer, topic, key) DO UPDATE SET key = excluded.key
""",
    parked=tuples(parked_keys.c.topic, parked_keys.c.key),
)

# A place is known with the log it is in: the offset of the same transaction's batch tells which. What is replayed comes
# from no log that there is, and has one of its own.
DEAD_LETTER = Statement(
    """
INSERT INTO dead_letters (consumer, :letter.columns, log)
SELECT :consumer, :letter.*,
       coalesce(letter.own_log, (SELECT log FROM consumer_offsets AS o WHERE o.consumer = :consumer
                                 AND o.topic = letter.topic AND o.partition = letter.partition))
FROM :letter ON CONFLICT DO NOTHING
""",
    letter=rows(
        dead_letters,
        column("own_log", Uuid),
        without=("id", "consumer", "parked_at", "log", "edit", "counts_in"),
        **{name: f"blame.{name}" for name in ("error", "fingerprint", "frames", "failing", "failed_at", "attempts")},
        topic="record.topic",
        partition="record.partition",
        offset="record.offset",
        record_key="record.key",
        value="record.value",
    ),
)

# Said before letters are deleted, of those whose records count. A type that is longer than a type may be is none.
COUNTS_OF_LETTERS = Statement(
    """
INSERT INTO handled_counts AS counts (consumer, topic, partition, type, applied, ignored, repeated)
SELECT letter.consumer, letter.topic, letter.partition,
       CASE WHEN length(letter.type) <= 512 THEN letter.type ELSE '' END AS known_type,
       count(*) FILTER (WHERE outcome = 'applied'), count(*) FILTER (WHERE outcome = 'ignored'),
       count(*) FILTER (WHERE outcome = 'already-applied')
FROM :taken JOIN dead_letters AS letter USING (id) JOIN consumer_offsets AS o USING (consumer, topic, partition)
WHERE letter."offset" >= o.since_offset
  AND coalesce(letter.counts_in, letter.log, o.log) IS NOT DISTINCT FROM o.log
GROUP BY letter.consumer, letter.topic, letter.partition, known_type
ORDER BY letter.consumer, letter.topic, letter.partition, known_type
ON CONFLICT (consumer, topic, partition, type) DO UPDATE
  SET applied = counts.applied + excluded.applied, ignored = counts.ignored + excluded.ignored,
      repeated = counts.repeated + excluded.repeated
""",
    taken=tuples(dead_letters.c.id, redrive_outcomes.c.outcome),
)

# What lay there before this transaction.
LETTERS_BEFORE = Statement(
    """
SELECT topic, partition, "offset" FROM dead_letters AS letter JOIN consumer_offsets AS o
  USING (consumer, topic, partition)
WHERE consumer = :consumer AND (topic, partition, "offset") IN (SELECT :held.* FROM :held)
  AND coalesce(letter.log, o.log) IS NOT DISTINCT FROM o.log AND letter.parked_at < now()
""",
    held=tuples(*_PLACE, dead_letters.c.offset),
)

# One row for each type of a partition, whose place this transaction holds: replicas do not wait for each other here.
COUNTS_ADD = Statement(
    """
INSERT INTO handled_counts AS counts (consumer, :count.columns)
SELECT :consumer, :count.* FROM :count ORDER BY topic, partition, type
ON CONFLICT (consumer, topic, partition, type) DO UPDATE
  SET applied = counts.applied + excluded.applied, ignored = counts.ignored + excluded.ignored,
      repeated = counts.repeated + excluded.repeated
""",
    count=tuples(*(each for each in handled_counts.columns if each.key not in ("consumer", "discarded"))),
)

# What was fed again and applied, of the log there is: what came to it before counting began may be of an older one. It
# was ignored before, as nobody listened; what was not has never been counted. A negative number of ignored ones makes
# up for what was applied twice (see `counting.counts_of`), and stays.
COUNTS_REPLAYED = Statement(
    """
WITH again AS (
  SELECT o.consumer, o.topic, o.partition, again.type, count(*) AS events
  FROM :again JOIN consumer_offsets AS o
    ON o.consumer = :consumer AND o.topic = again.topic AND o.partition = again.partition
  WHERE again."offset" >= o.since_offset AND again."offset" < greatest(o.next_offset, o.counted_offset)
    AND again.recorded_at >= o.since_at
  GROUP BY o.consumer, o.topic, o.partition, again.type
)
INSERT INTO handled_counts AS counts (consumer, topic, partition, type, applied, ignored, repeated)
SELECT consumer, topic, partition, type, events, 0, 0 FROM again ORDER BY consumer, topic, partition, type
ON CONFLICT (consumer, topic, partition, type) DO UPDATE
  SET applied = counts.applied + excluded.applied,
      ignored = counts.ignored - greatest(0, least(counts.ignored, excluded.applied))
""",
    again=tuples(*_PLACE, dead_letters.c.offset, column("type", Text), column("recorded_at", DateTime(timezone=True))),
)

# What was fed again and parked is in a log of its own; it counts in the one there is, as what is applied would.
COUNTS_REPLAY_PARKED = Statement(
    """
WITH parked AS (
  UPDATE dead_letters AS letter SET counts_in = o.log
  FROM :again JOIN consumer_offsets AS o
    ON o.consumer = :consumer AND o.topic = again.topic AND o.partition = again.partition
  WHERE letter.consumer = o.consumer AND letter.topic = o.topic AND letter.partition = o.partition
    AND letter."offset" = again."offset" AND letter.log = again.log AND letter.counts_in IS NULL
    AND again."offset" >= o.since_offset AND again."offset" < greatest(o.next_offset, o.counted_offset)
    AND again.recorded_at >= o.since_at
  RETURNING letter.topic, letter.partition, CASE WHEN length(letter.type) <= 512 THEN letter.type ELSE '' END AS type
)
UPDATE handled_counts AS counts SET ignored = counts.ignored - greatest(0, least(counts.ignored, found.events))
FROM (SELECT topic, partition, type, count(*) AS events FROM parked GROUP BY topic, partition, type) AS found
WHERE counts.consumer = :consumer AND counts.topic = found.topic AND counts.partition = found.partition
  AND counts.type = found.type
""",
    again=tuples(*_PLACE, dead_letters.c.offset, dead_letters.c.log, column("recorded_at", DateTime(timezone=True))),
)

COUNTS_CLEAR = Statement(
    """
DELETE FROM handled_counts WHERE consumer = :consumer AND (topic, partition) IN (SELECT :place.* FROM :place)
""",
    place=tuples(*_PLACE),
)

# All of it as of one moment, so that what a batch moves on is never counted twice, nor missed. Letters are counted one
# by one, each kind from an index that has all it takes (see `tables.py`): there may be very many, and they are long.
_COUNTED = 'SELECT consumer, topic, partition, "offset", coalesce(counts_in, log) AS log'
COUNTS = Statement(f"""
WITH letters AS (
  {_COUNTED}, type, 'parked' AS lies FROM dead_letters WHERE error IS NOT NULL AND {SOUND_TYPE}
  UNION ALL
  {_COUNTED}, type, 'held' FROM dead_letters WHERE error IS NULL AND {SOUND_TYPE}
  UNION ALL
  {_COUNTED}, '', CASE WHEN error IS NULL THEN 'held' ELSE 'parked' END
  FROM dead_letters WHERE ({SOUND_TYPE}) IS NOT TRUE
  UNION ALL
  {_COUNTED}, type, 'discarded' FROM discarded_letters WHERE {SOUND_TYPE}
  UNION ALL
  {_COUNTED}, '', 'discarded' FROM discarded_letters WHERE ({SOUND_TYPE}) IS NOT TRUE
), counts AS (
  SELECT consumer, topic, partition, type, applied, ignored, repeated, 0 AS parked, 0 AS held, discarded
  FROM handled_counts
  UNION ALL
  SELECT consumer, topic, partition, type, 0, 0, 0, count(*) FILTER (WHERE lies = 'parked'),
         count(*) FILTER (WHERE lies = 'held'), count(*) FILTER (WHERE lies = 'discarded')
  FROM letters JOIN consumer_offsets AS o USING (consumer, topic, partition)
  WHERE letters."offset" >= o.since_offset AND coalesce(letters.log, o.log) IS NOT DISTINCT FROM o.log
  GROUP BY consumer, topic, partition, type
)
SELECT o.consumer, o.topic, o.partition, o.next_offset, o.since_offset, o.since_at, o.log, counts.type,
       CASE WHEN o.since_offset IS NOT NULL AND o.moved_to <> o.next_offset THEN o.moved_to END AS uncounted_from,
       greatest(o.next_offset, o.counted_offset) AS counted_offset,
       sum(applied)::bigint AS applied, sum(ignored)::bigint AS ignored, sum(repeated)::bigint AS repeated,
       sum(parked)::bigint AS parked, sum(held)::bigint AS held, sum(discarded)::bigint AS discarded
FROM consumer_offsets AS o LEFT JOIN counts USING (consumer, topic, partition)
GROUP BY o.consumer, o.topic, o.partition, counts.type
ORDER BY o.consumer, o.topic, o.partition, counts.type
""")  # noqa: S608  our own text

# A place alone does not tell: after a log was cut back another record may have it. A letter that code parked which
# knew no logs is of the log there is; one of a replay has a log of its own, under which the next replay knows it. What
# an edited copy stands for is not parked again either.
DISCARDED_PLACES = Statement(
    """
SELECT broken.ordinal FROM :broken.numbered
JOIN (
  SELECT consumer, topic, partition, "offset", log, counts_in, record_key, value FROM discarded_letters
  UNION ALL
  SELECT consumer, topic, partition, "offset", log, NULL, record_key, value FROM edited_letters
) AS gone
  ON gone.consumer = :consumer AND gone.topic = broken.topic AND gone.partition = broken.partition
     AND gone."offset" = broken."offset"
LEFT JOIN consumer_offsets AS o
  ON o.consumer = :consumer AND o.topic = broken.topic AND o.partition = broken.partition
WHERE (coalesce(gone.counts_in, gone.log, o.log) = o.log OR gone.log = broken.own_log)
  AND gone.record_key IS NOT DISTINCT FROM broken.record_key AND gone.value IS NOT DISTINCT FROM broken.value
""",
    broken=rows(
        dead_letters.c.topic,
        dead_letters.c.partition,
        dead_letters.c.offset,
        dead_letters.c.record_key,
        dead_letters.c.value,
        column("own_log", Uuid),
        record_key="key",
        own_log=lambda record: getattr(record, "log", None),
    ),
)

IS_PAUSED = Statement("""
SELECT EXISTS (SELECT FROM pauses WHERE what = 'consumer' AND name = :consumer AND resumed_at IS NULL) AS is_paused
""")

PAUSE = Statement("""
INSERT INTO pauses (what, name, reason, paused_by) VALUES (:what, :name, :reason, :by)
ON CONFLICT (what, name) WHERE resumed_at IS NULL DO NOTHING
RETURNING id, what, name, reason, paused_at, paused_by, resumed_at, resumed_by
""")

PAUSE_LASTING = Statement("""
SELECT paused_at, paused_by FROM pauses WHERE what = :what AND name = :name AND resumed_at IS NULL
""")

# In the topics that are read by name, and in those of which something was read.
PAUSE_KEY = Statement("""
INSERT INTO parked_keys (consumer, topic, key, pause)
SELECT :consumer, topic, :key, :pause
FROM (SELECT unnest(:topics::text[]) UNION SELECT topic FROM consumer_offsets WHERE consumer = :consumer) AS t(topic)
ORDER BY topic
ON CONFLICT (consumer, topic, key) DO UPDATE SET pause = excluded.pause
""")

# A topic that comes later is met by the keys that are paused then. Whoever pauses one at this moment waits for the
# commit, and meets the topic; or is waited for.
PAUSES_LOCK = Statement("LOCK TABLE pauses IN SHARE MODE")
PAUSED_KEYS_MEET = Statement("""
INSERT INTO parked_keys (consumer, topic, key, pause)
SELECT :consumer, topic, name, id FROM pauses, unnest(:topics::text[]) AS t(topic)
WHERE what = 'key' AND resumed_at IS NULL
ORDER BY topic, name
ON CONFLICT (consumer, topic, key) DO UPDATE SET pause = excluded.pause
""")

RESUME = Statement("""
UPDATE pauses SET resumed_at = now(), resumed_by = :by WHERE id = :id AND resumed_at IS NULL
RETURNING id, what, name, reason, paused_at, paused_by, resumed_at, resumed_by
""")

# It locks them first: whoever then opens a key sees what a consumer had put behind it meanwhile.
RESUME_KEY = Statement("UPDATE parked_keys SET pause = NULL WHERE pause = :pause RETURNING topic")
