"""Holds what a consumer says to its database, each statement with the reason for its shape."""

from sqlalchemy import BigInteger, column

from backbone.storage.statement import Statement, rows, tuples
from backbone.storage.tables import consumer_offsets, dead_letters, inbox, log_breaks, parked_keys

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
INSERT INTO consumer_offsets AS o (consumer, :step.columns)
SELECT :consumer, :step.* FROM :step ORDER BY topic, partition
ON CONFLICT (consumer, topic, partition) DO UPDATE SET :step.excluded
WHERE o.next_offset = (SELECT start FROM :step WHERE step.topic = o.topic AND step.partition = o.partition)
RETURNING EXISTS (SELECT FROM parked_keys WHERE consumer = :consumer) AS some_parked,
  EXISTS (SELECT FROM pauses WHERE what = 'consumer' AND name = :consumer AND resumed_at IS NULL) AS is_paused
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
  SET :place.excluded, checked_offset = excluded.checked_offset,
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

# What is returned is new; an occurrence that is already there was handled before.
INBOX_ADD = Statement(
    """
INSERT INTO inbox (consumer, :happening.columns)
SELECT :consumer, :happening.* FROM :happening ORDER BY name, occurrence
ON CONFLICT DO NOTHING RETURNING name, occurrence
""",
    happening=tuples(inbox.c.name, inbox.c.occurrence),
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

PARK_KEY = Statement(
    """
INSERT INTO parked_keys (consumer, :parked.columns) SELECT :consumer, :parked.* FROM :parked ON CONFLICT DO NOTHING
""",
    parked=tuples(parked_keys.c.topic, parked_keys.c.key),
)

# A place is known with the log it is in: the offset of the same transaction's batch tells which.
DEAD_LETTER = Statement(
    """
INSERT INTO dead_letters (consumer, :letter.columns, log)
SELECT :consumer, :letter.*, (SELECT log FROM consumer_offsets AS o WHERE o.consumer = :consumer
                              AND o.topic = letter.topic AND o.partition = letter.partition)
FROM :letter ON CONFLICT DO NOTHING
""",
    letter=rows(
        dead_letters,
        without=("id", "consumer", "parked_at", "log"),
        topic="record.topic",
        partition="record.partition",
        offset="record.offset",
        record_key="record.key",
        value="record.value",
    ),
)

PARKED_KEYS = Statement("""
SELECT topic, key, pause FROM parked_keys WHERE consumer = :consumer AND (:key::text IS NULL OR key = :key)
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

# Said in the transaction that takes a letter away: a key never stays closed with nothing behind it, unless somebody has
# paused it.
OPEN_KEY = Statement("""
DELETE FROM parked_keys
WHERE consumer = :consumer AND topic = :topic AND key = :key AND pause IS NULL
  AND NOT EXISTS (SELECT FROM dead_letters WHERE consumer = :consumer AND topic = :topic AND key = :key)
""")

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

RESUME = Statement("""
UPDATE pauses SET resumed_at = now(), resumed_by = :by WHERE id = :id AND resumed_at IS NULL
RETURNING id, what, name, reason, paused_at, paused_by, resumed_at, resumed_by
""")

# It locks them first: whoever then opens a key sees what a consumer had put behind it meanwhile.
RESUME_KEY = Statement("UPDATE parked_keys SET pause = NULL WHERE pause = :pause RETURNING topic")
