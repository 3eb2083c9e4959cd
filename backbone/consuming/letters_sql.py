"""Holds what is said to the database about dead letters once they are there: redrives, discards, edits, lists."""

from backbone.storage.statement import Statement, rows, tuples
from backbone.storage.tables import dead_letters, parked_keys, redrive_outcomes

# Letters of code that took no fingerprints are grouped by what their error says.
GROUP = "coalesce(fingerprint, left(md5(error), 12))"

# What was asked for is resolved to keys: a letter goes with its key, and so do those behind one of a fingerprint.
REDRIVE_BEGIN = Statement(
    """
WITH begun AS (
  INSERT INTO redrives (consumer, letter, key, fingerprint, dry_run, rate, on_failure, began_by, total)
  SELECT :consumer, :letter, :key, :fingerprint, :dry_run, :rate, :on_failure, :actor,
         CASE WHEN :letter::bigint IS NULL THEN count(*) ELSE 1 END
  FROM dead_letters AS d
  WHERE d.consumer = :consumer AND EXISTS (SELECT FROM :wanted WHERE wanted.topic = d.topic AND wanted.key = d.key)
  RETURNING id
), taken AS (
  INSERT INTO redrive_keys (redrive, topic, key) SELECT begun.id, wanted.* FROM begun, :wanted
)
SELECT id FROM begun
""",
    wanted=tuples(parked_keys.c.topic, parked_keys.c.key),
)

# The parked keys themselves are among them where all is asked for: one that has nothing behind it is opened.
# Those that somebody has paused are left out.
WANTED_KEYS = Statement(f"""
WITH paused AS (SELECT topic, key FROM parked_keys WHERE consumer = :consumer AND pause IS NOT NULL)
SELECT topic, key FROM dead_letters
WHERE consumer = :consumer AND (:letter::bigint IS NULL OR id = :letter) AND (:key::text IS NULL OR key = :key)
  AND (:fingerprint::text IS NULL OR error IS NOT NULL AND {GROUP} = :fingerprint)
  AND (topic, key) NOT IN (SELECT topic, key FROM paused)
UNION
SELECT topic, key FROM parked_keys
WHERE consumer = :consumer AND :letter::bigint IS NULL AND :fingerprint::text IS NULL
  AND (:key::text IS NULL OR key = :key) AND pause IS NULL
""")  # noqa: S608

# Whoever has this lock takes the next step; of two who are at one redrive, one waits and then sees what the other did.
REDRIVE_LOCK = Statement("""
SELECT id, consumer, letter, dry_run, rate, on_failure, state, steps, next_at, began_by
FROM redrives WHERE id = :id FOR UPDATE
""")

# Of few keys each is looked up. Of many the letters are walked in their order, with a subselect and not a join, which
# would be made of all letters before the first of them are chosen.
_NOT_PAUSED = """NOT EXISTS (SELECT FROM parked_keys AS p WHERE p.consumer = d.consumer AND p.topic = d.topic
                          AND p.key = d.key AND p.pause IS NOT NULL)"""
REDRIVE_NEXT = Statement(f"""
WITH few AS (
  SELECT count(*) <= :few AS they_are FROM (SELECT FROM redrive_keys WHERE redrive = :redrive LIMIT :few + 1) AS keys
)
SELECT id FROM (
  (SELECT d.id FROM redrive_keys AS k CROSS JOIN LATERAL (
     SELECT * FROM dead_letters WHERE consumer = :consumer AND topic = k.topic AND key = k.key ORDER BY id LIMIT :most
   ) AS d
   WHERE (SELECT they_are FROM few) AND k.redrive = :redrive AND NOT k.closed
     AND (:letter::bigint IS NULL OR d.id = :letter) AND {_NOT_PAUSED}
   ORDER BY d.id LIMIT :most)
  UNION ALL
  (SELECT d.id FROM dead_letters AS d
   WHERE NOT (SELECT they_are FROM few) AND d.consumer = :consumer AND (:letter::bigint IS NULL OR d.id = :letter)
     AND (SELECT NOT closed FROM redrive_keys AS k WHERE k.redrive = :redrive AND k.topic = d.topic AND k.key = d.key)
     AND {_NOT_PAUSED}
   ORDER BY d.id LIMIT :most)
) AS next ORDER BY id LIMIT :most
""")  # noqa: S608

# What a dry run tries together: whole keys, for a key's later events build on what its earlier ones left.
REDRIVE_NEXT_KEYS = Statement("""
SELECT k.topic, k.key, count(d.id) AS letters FROM redrive_keys AS k
LEFT JOIN dead_letters AS d ON d.consumer = :consumer AND d.topic = k.topic AND d.key = k.key
WHERE k.redrive = :redrive AND NOT k.closed GROUP BY k.topic, k.key ORDER BY min(d.id) LIMIT :most
""")

KEYS_OF = Statement("SELECT DISTINCT topic, key FROM dead_letters WHERE id = ANY(:ids::bigint[])")

# Of these letters, those that are still there, have no earlier one of their key outside of them and are not paused.
LETTERS_TAKE = Statement("""
SELECT d.id, d.topic, d.partition, d."offset", d.key, d.type, d.headers, d.record_key, d.value,
       d.attempts, d.error, d.failed_at FROM dead_letters AS d
JOIN redrive_keys AS k ON k.redrive = :redrive AND k.topic = d.topic AND k.key = d.key AND NOT k.closed
JOIN parked_keys AS p ON p.consumer = d.consumer AND p.topic = d.topic AND p.key = d.key AND p.pause IS NULL
WHERE d.id = ANY(:ids::bigint[]) AND NOT EXISTS (
  SELECT FROM dead_letters AS e WHERE e.consumer = d.consumer AND e.topic = d.topic AND e.key = d.key
    AND e.id < d.id AND e.id <> ALL(:ids::bigint[]))
ORDER BY d.id
""")

LETTERS_OF_KEYS = Statement(
    """
SELECT d.id, d.topic, d.partition, d."offset", d.key, d.type, d.headers, d.record_key, d.value,
       d.attempts, d.error, d.failed_at FROM dead_letters AS d
WHERE d.consumer = :consumer AND (d.topic, d.key) IN (SELECT :wanted.* FROM :wanted)
  AND (:letter::bigint IS NULL OR d.id <= :letter)
ORDER BY d.id
""",
    wanted=tuples(parked_keys.c.topic, parked_keys.c.key),
)

LETTERS_DELETE = Statement("DELETE FROM dead_letters WHERE id = ANY(:ids::bigint[])")

# Said in the transaction that takes letters away: a key never stays closed with nothing behind it,
# unless somebody has paused it.
OPEN_KEYS = Statement(
    """
DELETE FROM parked_keys AS p
WHERE consumer = :consumer AND (topic, key) IN (SELECT :wanted.* FROM :wanted) AND pause IS NULL
  AND NOT EXISTS (SELECT FROM dead_letters AS d WHERE d.consumer = p.consumer AND d.topic = p.topic AND d.key = p.key)
""",
    wanted=tuples(parked_keys.c.topic, parked_keys.c.key),
)

OUTCOMES_ADD = Statement(
    """
INSERT INTO redrive_outcomes (redrive, :outcome.columns) SELECT :redrive, :outcome.* FROM :outcome
ON CONFLICT (redrive, letter) DO UPDATE SET outcome = excluded.outcome, error = excluded.error, at = excluded.at
""",
    outcome=rows(redrive_outcomes, without=("redrive", "at")),
)

REDRIVE_CLOSE = Statement(
    """
UPDATE redrive_keys SET closed = true WHERE redrive = :redrive AND (topic, key) IN (SELECT :done.* FROM :done)
""",
    done=tuples(parked_keys.c.topic, parked_keys.c.key),
)

REDRIVE_OPEN = Statement(
    """
SELECT count(*) FROM redrive_keys
WHERE redrive = :redrive AND NOT closed AND (topic, key) IN (SELECT :wanted.* FROM :wanted)
""",
    wanted=tuples(parked_keys.c.topic, parked_keys.c.key),
)

REDRIVE_STEP = Statement("""
UPDATE redrives SET steps = steps + 1, next_at = :next_at, changes = coalesce(:changes::text::jsonb, changes)
WHERE id = :id
""")

REDRIVE_CHANGES = Statement("SELECT changes FROM redrives WHERE id = :id")

# Those behind one that failed were never tried, nor one that is not the first of its key.
REDRIVE_HELD = Statement("""
INSERT INTO redrive_outcomes (redrive, letter, topic, key, type, outcome)
SELECT k.redrive, d.id, d.topic, d.key, d.type, 'held' FROM redrive_keys AS k
JOIN dead_letters AS d ON d.consumer = :consumer AND d.topic = k.topic AND d.key = k.key
WHERE k.redrive = :redrive AND CASE WHEN :letter::bigint IS NULL THEN k.closed ELSE d.id = :letter END
ON CONFLICT DO NOTHING
""")

REDRIVE_END = Statement("""
UPDATE redrives SET state = :state, ended_at = now() WHERE id = :id AND state = 'running' RETURNING id
""")

REDRIVE_KEYS = Statement("SELECT topic, key FROM redrive_keys WHERE redrive = :redrive AND NOT closed")

LETTER_BLAME = Statement("""
UPDATE dead_letters SET error = :error, fingerprint = :fingerprint, frames = :frames::text::jsonb,
                        failing = :failing::text::jsonb,
                        failed_at = now(), attempts = attempts + 1
WHERE id = :id
""")

# The first letter of a letter's key that stands before it.
BEFORE_IT = Statement("""
SELECT min(e.id) FROM dead_letters AS d
JOIN dead_letters AS e ON e.consumer = d.consumer AND e.topic = d.topic AND e.key = d.key AND e.id < d.id
WHERE d.consumer = :consumer AND d.id = :letter
""")

OUTCOME_COUNTS = Statement("""
SELECT outcome, count(*) AS count FROM redrive_outcomes WHERE redrive = :redrive GROUP BY outcome
""")

ACT_ADD = Statement("INSERT INTO acts (actor, act, about) VALUES (:actor, :act, :about::text::jsonb)")

ACTS_OF = Statement("""
SELECT at, actor, act, about FROM acts
WHERE (about->>'letter')::bigint = :letter OR about->'letters' @> :among::text::jsonb
ORDER BY id DESC LIMIT 100
""")

# The consumer is kept from a running batch of these partitions, so that its next one sees what is parked.
PLACES_LOCK = Statement(
    """
SELECT FROM consumer_offsets WHERE consumer = :consumer AND (topic, partition) IN (SELECT :place.* FROM :place)
ORDER BY topic, partition FOR UPDATE
""",
    place=tuples(dead_letters.c.topic, dead_letters.c.partition),
)

LETTERS_WANTED = Statement(f"""
SELECT id, topic, partition, key FROM dead_letters
WHERE consumer = :consumer AND (:letter::bigint IS NULL OR id = :letter) AND (:key::text IS NULL OR key = :key)
  AND (:fingerprint::text IS NULL OR error IS NOT NULL AND {GROUP} = :fingerprint)
ORDER BY id LIMIT :most
""")  # noqa: S608

DISCARDED_WANTED = Statement(f"""
SELECT id, topic, partition, key FROM discarded_letters
WHERE consumer = :consumer AND (:letter::bigint IS NULL OR id = :letter) AND (:key::text IS NULL OR key = :key)
  AND (:fingerprint::text IS NULL OR error IS NOT NULL AND {GROUP} = :fingerprint)
ORDER BY id LIMIT :most
""")  # noqa: S608

LETTERS_DISCARD = Statement(
    """
WITH gone AS (DELETE FROM dead_letters AS letter WHERE id = ANY(:ids::bigint[]) RETURNING :letter.*)
INSERT INTO discarded_letters (:letter.columns, discarded_by, reason)
SELECT :letter.columns, :actor, :reason FROM gone
RETURNING id, topic, partition, "offset", key, type, error, headers, record_key, value
""",
    letter=dead_letters,
)

# Under its old number it stands in its key's order again. One that was parked anew meanwhile is there already.
LETTERS_RESTORE = Statement(
    """
WITH back AS (
  DELETE FROM discarded_letters AS letter WHERE id = ANY(:ids::bigint[]) RETURNING :letter.*, letter.discarded_at
), put AS (
  INSERT INTO dead_letters (:letter.columns) OVERRIDING SYSTEM VALUE SELECT :letter.columns FROM back
  ON CONFLICT DO NOTHING
)
SELECT id, topic, partition, "offset", key, headers, record_key, value, discarded_at FROM back ORDER BY id
""",
    letter=dead_letters,
)

# Of these keys, those with letters left, none of which is one of those that somebody still takes.
KEYS_LEFT = Statement(
    f"""
SELECT topic, key FROM dead_letters
WHERE consumer = :consumer AND (topic, key) IN (SELECT :wanted.* FROM :wanted)
GROUP BY topic, key
HAVING NOT bool_or((:letter::bigint IS NULL OR id = :letter) AND (:key::text IS NULL OR key = :key)
  AND (:fingerprint::text IS NULL OR error IS NOT NULL AND {GROUP} = :fingerprint))
""",  # noqa: S608
    wanted=tuples(parked_keys.c.topic, parked_keys.c.key),
)

LETTER_LOCK = Statement("""
SELECT id, topic, partition, "offset", key, type, headers, record_key, value FROM dead_letters
WHERE consumer = :consumer AND id = :letter FOR UPDATE
""")

# The original is kept as it was; the copy has its number, so it stands where the original stood.
LETTER_EDIT = Statement("""
WITH original AS (
  INSERT INTO edited_letters (letter, consumer, topic, partition, "offset", log, record_key, value,
                              diff, edited_by, reason)
  SELECT id, consumer, topic, partition, "offset", log, record_key, value, :diff, :actor, :reason
  FROM dead_letters WHERE id = :letter RETURNING id
)
UPDATE dead_letters SET value = :value, edit = original.id FROM original WHERE dead_letters.id = :letter
RETURNING edit
""")

LETTER_PAGE = Statement(f"""
SELECT id, consumer, topic, partition, "offset", key, type, error, headers, record_key, value, parked_at,
       {GROUP} AS "group", frames, failing, failed_at, attempts, edit
FROM dead_letters WHERE consumer = :consumer AND id = :letter
""")  # noqa: S608

BEFORE_ON_KEY = Statement("""
SELECT id, type, "offset", 'parked' AS state, parked_at AS at FROM dead_letters
WHERE consumer = :consumer AND topic = :topic AND key = :key AND id < :letter
UNION ALL
SELECT id, type, "offset", 'discarded', discarded_at FROM discarded_letters
WHERE consumer = :consumer AND topic = :topic AND key = :key AND id < :letter
UNION ALL
SELECT o.letter, o.type, NULL, o.outcome, o.at FROM redrive_outcomes AS o
JOIN redrives AS r ON r.id = o.redrive AND r.consumer = :consumer AND NOT r.dry_run
WHERE o.topic = :topic AND o.key = :key AND o.letter < :letter AND o.outcome IN ('applied', 'already-applied')
ORDER BY id DESC LIMIT 100
""")

BEFORE_RECORDS = Statement("""
SELECT id, topic, key, headers, record_key, value FROM dead_letters
WHERE consumer = :consumer AND topic = :topic AND key = :key AND id < :letter
UNION ALL
SELECT id, topic, key, headers, record_key, value FROM discarded_letters
WHERE consumer = :consumer AND topic = :topic AND key = :key AND id < :letter
ORDER BY id LIMIT 100
""")

INBOX_OF = Statement("SELECT name FROM inbox WHERE consumer = :consumer AND occurrence = :occurrence ORDER BY name")

BEHIND_ON_KEY = Statement("""
SELECT id, type, "offset", parked_at, count(*) OVER () AS all FROM dead_letters
WHERE consumer = :consumer AND topic = :topic AND key = :key AND id > :letter ORDER BY id LIMIT 100
""")

TRIES_OF = Statement("""
SELECT o.redrive, o.outcome, o.error, o.at, r.dry_run, r.began_by FROM redrive_outcomes AS o
JOIN redrives AS r ON r.id = o.redrive AND r.consumer = :consumer WHERE o.letter = :letter ORDER BY o.redrive LIMIT 100
""")

EDITS_OF = Statement("""
SELECT id, edited_at, edited_by, reason, diff FROM edited_letters
WHERE consumer = :consumer AND letter = :letter ORDER BY id
""")

# The error and the frames are those of the newest one; they are long, so they are read of that alone.
GROUPS = Statement(f"""
WITH failed AS (
  SELECT {GROUP} AS "group", type, topic, key, max(id) AS newest, count(*) AS count, min(parked_at) AS first_at,
         max(coalesce(failed_at, parked_at)) AS last_at
  FROM dead_letters WHERE consumer = :consumer AND error IS NOT NULL GROUP BY 1, type, topic, key
), behind AS (
  SELECT topic, key, count(*) AS held FROM dead_letters WHERE consumer = :consumer AND error IS NULL
  GROUP BY topic, key
), found AS (
  SELECT "group", type, max(newest) AS newest, sum(count)::bigint AS count, min(first_at) AS first_at,
         max(last_at) AS last_at, count(*) AS keys, coalesce(sum(held), 0)::bigint AS held
  FROM failed LEFT JOIN behind USING (topic, key)
  GROUP BY "group", type ORDER BY 4 DESC, "group" LIMIT :most
)
SELECT found.*, error, frames FROM found JOIN dead_letters ON id = newest ORDER BY count DESC, "group"
""")  # noqa: S608
