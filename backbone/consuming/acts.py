"""Notes what operators do to dead letters: who, when and what, in the transaction that does it."""

from typing import Any

import orjson

from backbone.consuming import letters_sql
from backbone.storage.database import Tx


async def note(tx: Tx, actor: str, act: str, **about: Any) -> None:
    """Write down one act; `about` says of what it was one, in values that JSON has."""
    await letters_sql.ACT_ADD.execute(tx.raw, actor=actor, act=act, about=orjson.dumps(about).decode())
