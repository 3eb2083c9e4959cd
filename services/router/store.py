"""Rules, their versions and their troubles in the database."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
import msgspec
from sqlalchemy import Row, select

from backbone.errors import SlicelineError
from backbone.http import Page
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Statement, rows, tuples
from services.router.decisions import Change, Content, Rule, Target, Trouble
from services.router.tables import rule_versions, rules, troubles


class _Version(NamedTuple):
    rule: Rule
    change: Change


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_LOCK = Statement("SELECT :r.* FROM rules AS r WHERE id = :rule FOR UPDATE", r=rules)
_SAVE = Statement(
    """
    INSERT INTO rules (:new.columns) SELECT :new.* FROM :new
    ON CONFLICT (id) DO UPDATE SET :new.excluded
    """,
    new=rows(
        rules,
        bus="content.bus",
        name="content.name",
        pattern=lambda rule: _json(rule.content.pattern),
        targets=lambda rule: _json(rule.content.targets),
        means_all="content.means_all",
        enabled="content.enabled",
    ),
)
_DELETE = Statement("DELETE FROM rules WHERE id = :rule")
_KEEP_VERSION = Statement(
    "INSERT INTO rule_versions (:new.columns) SELECT :new.* FROM :new",
    new=rows(
        rule_versions,
        within="rule",
        rule="rule.id",
        change="change",
        content=lambda new: _json(new.rule.content),
    ),
)
_REVISE = Statement("UPDATE rulebook SET revision = gen_random_uuid()::text")
_REVISION = Statement("SELECT revision FROM rulebook")
_FIND_ENABLED = Statement("SELECT :r.* FROM rules AS r WHERE enabled ORDER BY id", r=rules)
# Sorted, so that two replicas never wait for each other in a ring.
_ADD_TROUBLES = Statement(
    """
    INSERT INTO troubles (:new.columns, first_at, last_at)
    SELECT :new.*, :now::timestamptz, :now::timestamptz FROM :new ORDER BY rule, kind
    ON CONFLICT (rule, kind) DO UPDATE
      SET times = troubles.times + excluded.times, event = excluded.event, detail = excluded.detail,
          last_at = excluded.last_at
    """,
    new=tuples(*[column for column in troubles.columns if column.name not in ("first_at", "last_at")]),
)


class NameTaken(SlicelineError):
    """Another rule of the bus has this name."""


async def lock(tx: Tx, rule: str) -> Rule | None:
    """Give a rule, locked until the transaction ends; None where there is none."""
    row = await _LOCK.fetchrow(tx.raw, rule=rule)
    return _rule(**row) if row else None


async def save(tx: Tx, rule: Rule, change: Change) -> None:
    """Write a rule that is new or locked, and keep the version. Raises NameTaken."""
    try:
        await _SAVE.execute(tx.raw, new=[rule])
    except asyncpg.UniqueViolationError as error:
        raise NameTaken from error
    await _note(tx, rule, change)


async def delete(tx: Tx, rule: Rule) -> None:
    """Take a locked rule away; its versions stay."""
    await _DELETE.execute(tx.raw, rule=rule.id)
    await _note(tx, rule, Change.DELETED)


async def _note(tx: Tx, rule: Rule, change: Change) -> None:
    await _KEEP_VERSION.execute(tx.raw, new=[_Version(rule, change)])
    await _REVISE.execute(tx.raw)


async def revision(tx: Tx) -> str:
    """Give what the rules are called as they are now; after any change they are called otherwise."""
    found: str = await _REVISION.fetchval(tx.raw)
    return found


async def find_enabled(tx: Tx) -> list[Rule]:
    """Give all rules that are at work, the oldest first."""
    return [_rule(**row) for row in await _FIND_ENABLED.fetch(tx.raw)]


async def add_troubles(tx: Tx, found: Sequence[Trouble]) -> None:
    """Count troubles, and keep the last one of each rule and kind."""
    if found:
        times = Counter((each.rule, each.kind) for each in found)
        last = {(each.rule, each.kind): each for each in found}
        new = [(*key, times[key], each.event, each.detail) for key, each in last.items()]
        await _ADD_TROUBLES.execute(tx.raw, new=new, now=tx.now)


async def find(database: Database, rule: str) -> Rule | None:
    """Give one rule; None where there is none."""
    async with database.reading() as connection:
        row = (await connection.execute(select(rules).where(rules.c.id == rule))).mappings().one_or_none()
    return _rule(**row) if row else None


async def list_page(database: Database, page: Page, bus: str | None) -> list[Rule]:
    """Give the rules of a page, the oldest first; of one bus, if it is given."""
    query = select(rules).order_by(rules.c.id).limit(page.limit + 1)
    if bus is not None:
        query = query.where(rules.c.bus == bus)
    if page.after:
        query = query.where(rules.c.id > page.after)
    async with database.reading() as connection:
        return [_rule(**row) for row in (await connection.execute(query)).mappings()]


async def list_versions(database: Database, rule: str, limit: int, after: int) -> Sequence[Row[Any]]:
    """Give the versions of a rule that come after one, the oldest first; also of one that is gone."""
    query = select(rule_versions).where(rule_versions.c.rule == rule, rule_versions.c.version > after)
    async with database.reading() as connection:
        return (await connection.execute(query.order_by(rule_versions.c.version).limit(limit + 1))).all()


async def list_troubles(database: Database, rule: str) -> Sequence[Row[Any]]:
    """Give the troubles of a rule, by kind."""
    query = select(troubles).where(troubles.c.rule == rule).order_by(troubles.c.kind)
    async with database.reading() as connection:
        return (await connection.execute(query)).all()


def _rule(pattern: Any, targets: Any, bus: str, name: str, means_all: bool, enabled: bool, **own: Any) -> Rule:
    content = Content(
        bus=bus,
        name=name,
        pattern=pattern,
        targets=tuple(msgspec.convert(targets, list[Target])),
        means_all=means_all,
        enabled=enabled,
    )
    return Rule(content=content, **own)
