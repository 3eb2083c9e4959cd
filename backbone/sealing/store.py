"""Data keys in the database of the service that made them; nobody else keeps one."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from backbone.storage.database import Tx
from backbone.storage.statement import Session, Statement, tuples
from backbone.storage.tables import data_keys

K = data_keys.c

_FIND = Statement("SELECT name, wrapped FROM data_keys WHERE name = ANY(:names::text[])")
_LIVING = Statement(
    "SELECT person, name, wrapped FROM data_keys WHERE person = ANY(:people::text[]) AND forgotten_at IS NULL"
)
# Somebody else may make one for the same person at the same moment: then theirs is returned, and ours never used. It is
# on the disk before anything is sealed with it: a command that is tried again after a crash of Postgres stays sealed.
# Wrapped with a master key that was retired meanwhile it would be lost with that, so there is none.
_ADD = Statement(
    """
    INSERT INTO data_keys AS known (:new.columns)
    SELECT :new.* FROM :new WHERE NOT EXISTS (SELECT FROM retired_master_keys WHERE id = :master) ORDER BY person
    ON CONFLICT (person) WHERE forgotten_at IS NULL DO UPDATE SET person = excluded.person
    RETURNING person, name, wrapped
    """,
    new=tuples(K.name, K.person, K.wrapped),
)
_ONE = Statement("SELECT name, wrapped FROM data_keys WHERE wrapped IS NOT NULL LIMIT 1")
_OF = Statement("SELECT name, made_at, forgotten_at FROM data_keys WHERE person = :person ORDER BY made_at, name")
# The row stays, so that what was sealed is known to be forgotten rather than taken for unknown.
_FORGET = Statement(
    """
    UPDATE data_keys AS k SET wrapped = NULL, forgotten_at = :now
    FROM (
      SELECT known.name FROM data_keys AS known JOIN :asked USING (person)
      WHERE known.forgotten_at IS NULL AND known.made_at <= asked.made_at ORDER BY known.name FOR UPDATE OF known
    ) AS old
    WHERE k.name = old.name
    """,
    asked=tuples(K.person, K.made_at),
)
# New keys wait, and those under way are waited for: no key comes later that a retired master key wraps.
_NO_NEW_KEYS = Statement("LOCK TABLE data_keys IN SHARE ROW EXCLUSIVE MODE")
_RETIRE = Statement("INSERT INTO retired_master_keys (id) SELECT unnest(:ids::text[]) ON CONFLICT DO NOTHING")
_REINSTATE = Statement("DELETE FROM retired_master_keys WHERE id = :id")
# Locked in the order of `_FORGET`, so that no key comes back which is destroyed meanwhile.
_NEXT = Statement("""
    SELECT name, wrapped FROM data_keys WHERE name > :after AND wrapped IS NOT NULL
    ORDER BY name LIMIT :most FOR UPDATE
""")
_REWRAP = Statement(
    "UPDATE data_keys AS k SET wrapped = new.wrapped FROM :new WHERE k.name = new.name",
    new=tuples(K.name, K.wrapped),
)
SLACK = timedelta(seconds=5)
"""By how much the clocks of two databases may differ: no key that was there when it was asked for may stay."""

Stored = Mapping[str, tuple[str, bytes]]
"""By person: the name of the living data key, and the key as it is stored."""


async def find(session: Session, names: Collection[str]) -> dict[str, bytes | None]:
    """Return those of the data keys that are known, by name and as they are stored; None of one that was destroyed."""
    return {row["name"]: row["wrapped"] for row in await _FIND.fetch(session, names=list(names))}


async def find_living(session: Session, people: Collection[str]) -> Stored:
    """Return the data keys of those people who have one."""
    found = await _LIVING.fetch(session, people=list(people))
    return {row["person"]: (row["name"], row["wrapped"]) for row in found}


async def find_one(session: Session) -> tuple[str, bytes] | None:
    """Return any data key that was not destroyed, by its name and as it is stored; None where there is none."""
    found = await _ONE.fetch(session)
    return (found[0]["name"], found[0]["wrapped"]) if found else None


async def add_all(session: Session, new: Iterable[tuple[str, str, bytes]], master: str) -> Stored:
    """Write new data keys (name, person, wrapped) and return the keys of these people: these, or who was faster's.

    There are none where the master key that they are wrapped with was retired.
    """
    found = await _ADD.fetch(session, new=list(new), master=master)
    return {row["person"]: (row["name"], row["wrapped"]) for row in found}


async def retire(tx: Tx, masters: Collection[str], *, for_the_sake_of: str) -> None:
    """Have no data key be wrapped any more with master keys that another one replaces."""
    await _NO_NEW_KEYS.fetch(tx.raw)
    await _REINSTATE.execute(tx.raw, id=for_the_sake_of)
    await _RETIRE.execute(tx.raw, ids=list(masters))


async def lock_next(tx: Tx, after: str, most: int) -> list[tuple[str, bytes]]:
    """Return the data keys that come after a name, as they are stored, locked until the transaction ends."""
    return [(row["name"], row["wrapped"]) for row in await _NEXT.fetch(tx.raw, after=after, most=most)]


async def rewrap(tx: Tx, anew: Collection[tuple[str, bytes]]) -> None:
    """Write locked data keys as they are wrapped now."""
    if anew:
        await _REWRAP.execute(tx.raw, new=list(anew))


async def list_of(session: Session, person: str) -> list[dict[str, object]]:
    """Return what is known of a person's data keys: their names, when each was made, and when destroyed."""
    return [dict(row) for row in await _OF.fetch(session, person=person)]


async def forget(tx: Tx, asked: Mapping[str, datetime]) -> int:
    """Destroy the data keys that these people had when it was asked for; return how many there were.

    Who came back since has a new one, which stays.
    """
    return await _FORGET.execute(tx.raw, asked=[(who, at + SLACK) for who, at in sorted(asked.items())], now=tx.now)
