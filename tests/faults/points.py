"""Points at which a process can be told to die, by wrapping the functions around them: the product has no switch.

A point is armed by writing its name into a file that the process looks at whenever it passes one. It dies there, once.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

from backbone.consuming.batch import Batch
from backbone.consuming.batch_processor import BatchProcessor
from backbone.publishing.publisher import Publisher
from backbone.storage import objects
from backbone.storage.database import Tx
from backbone.storage.group_commit import GroupCommit
from tests.patches import Patch

Reached = Callable[[str], None]
BEFORE_COMMIT = "before-commit"
BEFORE_ANSWER = "before-answer"
AFTER_PUT = "after-put"
BEFORE_OUTBOX_COMMIT = "before-outbox-commit"
AFTER_CHARGE = "after-charge"
BEFORE_OFFSET = "before-offset"
POINTS = (BEFORE_COMMIT, BEFORE_ANSWER, AFTER_PUT, BEFORE_OUTBOX_COMMIT, AFTER_CHARGE, BEFORE_OFFSET)


def dying_when_armed(armed: Path) -> Reached:
    """Kill this process when it reaches the point that the file names; the file goes first, so that it does so once."""

    def reached(point: str) -> None:
        if armed.exists() and armed.read_text() == point:
            armed.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def lay(patch: Patch, reached: Reached) -> None:
    """Have `reached` called at each point of this process."""
    _at_the_end_of(patch, Tx, "flush", lambda woken: reached(BEFORE_COMMIT) if woken[0] else None)
    _at_the_end_of(patch, GroupCommit, "_flush", lambda _: reached(BEFORE_ANSWER))
    _at_the_end_of(patch, objects, "put", lambda _: reached(AFTER_PUT))
    _at_the_end_of(patch, Publisher, "send", lambda _: reached(BEFORE_OUTBOX_COMMIT))
    _after_effects(patch, reached)
    _after_charging(patch, reached)


def _at_the_end_of(patch: Patch, owner: Any, name: str, call: Callable[[Any], None]) -> None:
    function: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @wraps(function)
    async def wrapped(*given: Any, **named: Any) -> Any:
        result = await function(*given, **named)
        call(result)
        return result

    patch(owner, name, wrapped)


def _after_effects(patch: Patch, reached: Reached) -> None:
    """After a batch with something in it is committed, before Kafka is told how far its reader is."""
    apply = BatchProcessor.apply

    @wraps(apply)
    async def wrapped(self: BatchProcessor, batch: Batch, *, fresh: bool = False) -> None:
        await apply(self, batch, fresh=fresh)
        if any(each.event for each in batch.incoming):
            reached(BEFORE_OFFSET)

    patch(BatchProcessor, "apply", wrapped)


def _after_charging(patch: Patch, reached: Reached) -> None:
    from services.payments.provider import Charged, Provider  # only one service has it

    _at_the_end_of(patch, Provider, "charge", lambda out: reached(AFTER_CHARGE) if isinstance(out, Charged) else None)
