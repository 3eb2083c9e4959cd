"""Scores texts in a process of its own, for `bench/reviews.py`. JSON in as its argument, JSON out."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import psutil

from bench.meter import MEBIBYTE
from services.reviews import sentiment

SAYINGS = "The pizza was cold and the driver was rude, but the cola was great. I will not order again. "
FLOOD = "\N{SMILING FACE WITH HEART-SHAPED EYES}"
TEXTS = {"usual": SAYINGS.strip(), "long": (SAYINGS * 30)[:2000].strip(), "flood": FLOOD * 2000}
"""A usual review; the longest that is taken; the longest of what costs most."""
BATCH = 32
EVERY = 0.001


def measure(seconds: float) -> dict[str, float]:
    """Tell what texts cost by their kind, what the lexicon does, and how long the event loop waits meanwhile."""
    lexicon = _lexicon()
    costs = {f"{kind} ms": 1000 * _cost(sentiment.score, text, seconds) for kind, text in TEXTS.items()}
    whole = sentiment._analyser().polarity_scores
    some = FLOOD * 250
    costs |= {"whole ms": 1000 * _cost(whole, some, 0.0), "pieces ms": 1000 * _cost(sentiment.score, some, seconds)}
    batch = [TEXTS["flood"]] * BATCH
    waits = {
        "thread wait ms": 1000 * asyncio.run(_longest_wait(lambda: asyncio.to_thread(sentiment.scores, batch))),
        "loop wait ms": 1000 * asyncio.run(_longest_wait(lambda: _on_the_loop(batch))),
    }
    return {**lexicon, **costs, **waits}


def _lexicon() -> dict[str, float]:
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    sentiment.score("Good.")
    taken = psutil.Process().memory_info().rss - before
    return {"lexicon MiB": taken / MEBIBYTE, "lexicon ms": 1000 * (time.perf_counter() - began)}


def _cost(score: Callable[[str], object], text: str, seconds: float) -> float:
    """Return the CPU seconds of one text."""
    done, began = 0, time.process_time()
    while not done or time.process_time() - began < seconds:
        score(text)
        done += 1
    return (time.process_time() - began) / done


async def _on_the_loop(texts: Sequence[str]) -> None:
    sentiment.scores(texts)


async def _longest_wait(work: Callable[[], Awaitable[object]]) -> float:
    """Return by how much the event loop was late at its worst while the work was done."""
    working = asyncio.ensure_future(work())
    longest = 0.0
    while not working.done():
        began = time.perf_counter()
        await asyncio.sleep(EVERY)
        longest = max(longest, time.perf_counter() - began - EVERY)
    return longest


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
