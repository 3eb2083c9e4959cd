"""Analyses reviews: the customer does not wait for it, and no transaction is open meanwhile."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from backbone.context import Context
from backbone.decision import Decision, fold
from backbone.jobs.work import Done, Job, Work
from backbone.running.retry import RetryPolicy
from backbone.storage.database import Tx
from backbone.values.sealed import FORGOTTEN
from services.reviews import decisions, sentiment, store
from services.reviews.decisions import ANALYSE, Review


class Decide(Protocol):
    """Decides what an analysis means for the review as it stands when it is settled."""

    def __call__(self, review: Review, /, *, now: datetime) -> Decision[Review] | None: ...


async def analyse(job: Job, context: Context[Any]) -> Decide:
    """Score what a customer said, if that was in words."""
    said: str | None = job.data["text"]
    text = said and await context.sealing.opened(said)
    words = None if text in (None, FORGOTTEN) else await context.coalesce(_score).submit(text)
    return partial(decisions.analysed, words=words)


async def settle(done: Sequence[Done], tx: Tx) -> None:
    """Tell how reviews were meant, and open a case of each that is bad."""

    def decide(review: Review | None, each: Done) -> Decision[Review] | None:
        meant: Decide = each.outcome
        return meant(review, now=tx.now) if review else None

    reviews = await store.lock_all(tx, {each.job.key for each in done})
    decided = fold(reviews, done, lambda each: each.job.key, decide)
    for review, each, decision in decided:
        tx.apply(decision, key=review, cause=each.cause)
    await store.save_all(tx, decided.changed.values())


async def _score(_: Context[Any], texts: Sequence[str]) -> Sequence[float]:
    """Score what is there at the same moment, in one thread: more of them would only take the event loop's turns."""
    return await asyncio.to_thread(sentiment.scores, texts)


# A text that cannot be analysed is somebody's to look at; it does not get better by waiting.
JOBS: Mapping[str, Work[Any]] = {ANALYSE: Work(analyse, settle, RetryPolicy(attempts=5), concurrency=32)}
