"""Carries out what is decided about endpoints."""

from collections.abc import Mapping

from backbone.decision import Decision
from backbone.events.payload import Cause
from backbone.storage.database import Tx
from services.webhooks import store
from services.webhooks.endpoint import Endpoint


async def apply(
    tx: Tx, decided: Mapping[str, Decision[Endpoint] | None], *, cause: Cause | Mapping[str, Cause] | None = None
) -> None:
    """Save endpoints that are new or locked, tell what is told of them, and start and stop their jobs.

    `cause` is that of all, or of each by its name.
    """
    made = {name: each for name, each in decided.items() if each is not None}
    for name, decision in made.items():
        tx.apply(decision, key=name, cause=cause[name] if isinstance(cause, Mapping) else cause)
    await store.save_all(tx, [decision.state for decision in made.values()])
