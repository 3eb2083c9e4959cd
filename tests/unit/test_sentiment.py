"""How words are scored: by the sentence, and never more of them than a processor has the time for."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local import ROOT
from local.program import python
from services.reviews.sentiment import LONGEST, MOST, pieces, score, scores

EMOJIS = {"😍": "smiling face with heart-eyes", "☕": "hot beverage"}
ADAS = ["cold", "pizza!", "but", "good.", "No,", "😍", "😍☕😍", "really?", ":)", "\n", "a" * 300]


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("Great pizza, thank you!", 1),
        ("Best pizza ever 😍", 1),
        ("😍😍😍", 1),
        ("Not bad at all", 1),
        ("The pizza was cold and the driver was rude.", -1),
        ("Terrible", -1),
        ("It came at eight.", 0),
        ("La pizza era fredda.", 0),
        ("…", 0),
    ],
)
def test_words_are_scored_by_how_they_are_meant(text: str, sign: int) -> None:
    found = score(text)
    assert -1 <= found <= 1
    assert (found > 0) - (found < 0) == sign


def test_sentences_that_say_nothing_either_way_do_not_count() -> None:
    assert score("We ordered at seven. It came at eight.\nTerrible!") == score("Terrible!")


def test_each_text_has_its_own_score() -> None:
    assert scores(["Terrible", "Great"]) == [score("Terrible"), score("Great")]


@given(st.lists(st.sampled_from(ADAS), max_size=600).map(" ".join) | st.text(alphabet="😍☕ a.\n", max_size=2000))
def test_a_text_is_cut_into_what_can_be_scored_at_once(text: str) -> None:
    cut = [piece.split() for piece in pieces(text, EMOJIS)]
    words = [word for piece in cut for word in piece]
    assert all(0 < len(piece) <= LONGEST for piece in cut)
    assert len(words) <= MOST
    spelt = "".join(f" {EMOJIS[each]} " if each in EMOJIS else each for each in text).split()
    assert words == spelt[:MOST]


def test_a_sentence_keeps_its_marks() -> None:
    assert list(pieces("Late! Why?? Cold.", {})) == ["Late!", "Why??", "Cold."]


def test_a_service_that_has_analysed_nothing_has_not_loaded_the_lexicon() -> None:
    """An API of its own analyses nothing, and whoever starts many services loads the modules of all."""
    asking = "import sys, services.reviews.service; sys.exit(any('vader' in name for name in sys.modules))"
    subprocess.run(python("-c", asking), cwd=ROOT, check=True)
