"""Adds rows to the log of acts, and gives them their places in it: each row's hash follows from all before it.

A place is given after the commit of the act and not in its transaction: there, whoever acts would hold the chain's end
until his own commit, and one who hangs would stop all others. Rows that wait for their place are in the order of their
ids; which of two acts of the same moment comes first is nobody's business.
"""

from collections.abc import Iterable
from typing import Any

import asyncpg

from backbone.storage.database import Tx
from backbone.storage.statement import Session, Statement

_ADD = Statement("INSERT INTO audit_waiting (entry) SELECT unnest(:entries::text[])")
_CHAIN = Statement("SELECT number, entry, previous, hash FROM audit_chain(:most::int)")
_WAITS = Statement("SELECT EXISTS (SELECT FROM audit_waiting) AS some")
_PAGE = Statement("SELECT number, entry, previous, hash FROM audit WHERE number > :after ORDER BY number LIMIT :most")
_END = Statement("""
SELECT (SELECT count(*) FROM audit_waiting) AS waiting, coalesce((SELECT max(number) FROM audit), 0) AS last
""")


async def add(tx: Tx, entries: Iterable[str]) -> None:
    """Write down acts, which wait for their places."""
    await _ADD.execute(tx.raw, entries=list(entries))


async def some_wait(session: Session) -> bool:
    """Tell whether acts wait for their places."""
    return bool((await _WAITS.fetch(session))[0]["some"])


async def chain(tx: Tx, most: int) -> list[asyncpg.Record]:
    """Give acts that wait their places, and return their rows; none where somebody else does so at this moment."""
    return await _CHAIN.fetch(tx.raw, most=most)


async def list_page(session: Session, after: int, most: int) -> list[asyncpg.Record]:
    """Return rows by their number."""
    return await _PAGE.fetch(session, after=after, most=most)


async def end_of(session: Session) -> dict[str, Any]:
    """Return the last number, and how many acts wait for theirs."""
    return dict((await _END.fetch(session))[0])
