"""Scores words with VADER, a lexicon and rules for short English texts.

VADER's effort grows with the square of a text's words, and an emoji is up to a dozen: a review of 2,000 of them would
keep it busy for half a minute. So it gets a sentence at a time, none longer than `LONGEST`, and so many words in all.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from statistics import fmean
from typing import Any

LONGEST = 40
"""Words of one piece. Most sentences are shorter."""
MOST = 400
"""Words in all: as many as an English text of 2,000 characters has."""
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n")


def scores(texts: Iterable[str]) -> list[float]:
    """Score each text, from -1 to 1. Takes a processor's time: not for the event loop."""
    return [score(text) for text in texts]


def score(text: str) -> float:
    """Return the mean score of those parts of a text that say anything either way; nought where none does."""
    analyser = _analyser()
    found = [analyser.polarity_scores(piece)["compound"] for piece in pieces(text, analyser.emojis)]
    return round(fmean(told), 4) if (told := [each for each in found if each]) else 0.0


def pieces(text: str, emojis: Mapping[str, str]) -> Iterator[str]:
    """Cut a text into its sentences, long ones again; `emojis` says which words a character stands for."""
    left = MOST
    spelt = "".join(f" {emojis[each]} " if each in emojis else each for each in text)
    for sentence in _SENTENCES.split(spelt):
        words = sentence.split()[:left]
        left -= len(words)
        for start in range(0, len(words), LONGEST):
            yield " ".join(words[start : start + LONGEST])


@cache
def _analyser() -> Any:
    """Load the lexicon, once, and only where something is analysed: an API of its own needs none."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()  # type: ignore[no-untyped-call]
