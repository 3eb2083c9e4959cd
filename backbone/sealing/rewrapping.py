"""Wraps data keys anew, when a new master key takes the place of one: what is sealed with them stays as it is.

First the old master key is retired in the database, where all processes of the service meet: from then on no data key
is written that only the old one opens, also by a process that has not read the new one yet. Then they are gone through.
"""

from collections.abc import Sequence

import msgspec

from backbone.errors import SlicelineError
from backbone.sealing import store
from backbone.storage.database import Database

AT_ONCE = 1000
"""Data keys wrapped anew in one transaction."""


class OtherMasterKey(SlicelineError):
    """New data keys are wrapped with another master key here."""


class Rewrapped(msgspec.Struct):
    """Tells how many data keys were wrapped anew, and how many no master key of ours opens; `next`: where to go on."""

    rewrapped: int
    foreign: int
    next: str | None


async def rewrap(database: Database, masters: Sequence[bytes], under: str, after: str) -> Rewrapped:
    """Wrap those data keys that come after a name with the first master key, which has to be the one named `under`.

    Repeated, it changes nothing. Raises OtherMasterKey.
    """
    from backbone.sealing.cipher import id_of

    ids = [id_of(each) for each in masters]
    if ids[:1] != [under]:
        raise OtherMasterKey(f"The master key in use here is {ids[0] if ids else '(none)'}, not {under}.")
    if ids[1:] and not after:
        async with database.transaction() as tx:
            await store.retire(tx, ids[1:], for_the_sake_of=under)
    async with database.transaction() as tx:
        found = await store.lock_next(tx, after, AT_ONCE)
        anew, foreign = _anew(found, masters)
        await store.rewrap(tx, anew)
    return Rewrapped(len(anew), foreign, found[-1][0] if len(found) == AT_ONCE else None)


def _anew(found: Sequence[tuple[str, bytes]], masters: Sequence[bytes]) -> tuple[list[tuple[str, bytes]], int]:
    """Wrap those that the first master key does not open; count those that none does, which stay as they are."""
    from backbone.sealing.cipher import NotOurs, wrapped_anew

    anew, foreign = [], 0
    for name, stored in found:
        try:
            if wrapping := wrapped_anew(name, stored, masters):
                anew.append((name, wrapping))
        except NotOurs:
            foreign += 1
    return anew, foreign
