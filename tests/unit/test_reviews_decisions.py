"""Reviews' decisions, with nothing around them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backbone.decision import Decision
from services.reviews.decisions import (
    ANALYSE,
    CaseStatus,
    Label,
    Resolution,
    Resolved,
    Review,
    analysed,
    judge,
    receive,
    resolve,
)
from services.reviews.events import CaseOpened, CaseResolved, Customer, ReviewAnalysed, ReviewReceived

NOW = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
ADA = Customer("ada", "Ada", "ada@example.com")
REVIEW = Review(id="r-1", order="o-1", customer=ADA, stars=2, text="Cold.", received_at=NOW, correlationid="the-story")
AMENDS = Resolution("Called her.", 20, "grace")

STARS = st.none() | st.integers(1, 5)
WORDS = st.none() | st.floats(-1, 1)


def told(decision: Decision[Review] | None) -> list[type]:
    assert decision is not None
    return [type(event) for event in decision.events]


def bad() -> Review:
    decision = analysed(REVIEW, -0.2, NOW)
    assert decision is not None
    return decision.state


def test_a_review_that_is_received_is_told_and_analysed_later() -> None:
    decision = receive(REVIEW)
    assert decision.state == REVIEW
    assert decision.events == (ReviewReceived(review="r-1", order="o-1", customer=ADA, stars=2, text="Cold."),)
    assert [(job.kind, job.data) for job in decision.start] == [(ANALYSE, {"text": "Cold."})]


@pytest.mark.parametrize(
    ("stars", "words", "score", "label"),
    [
        (None, 0.78, 0.78, Label.POSITIVE),
        (None, 0.05, 0.05, Label.POSITIVE),
        (None, 0.04, 0.04, Label.NEUTRAL),
        (None, -0.04, -0.04, Label.NEUTRAL),
        (None, -0.05, -0.05, Label.NEGATIVE),
        (5, None, 1.0, Label.POSITIVE),
        (4, None, 0.5, Label.POSITIVE),
        (3, None, 0.0, Label.NEUTRAL),
        (2, None, -0.5, Label.NEGATIVE),
        (1, None, -1.0, Label.NEGATIVE),
        (3, 0.78, 0.78, Label.POSITIVE),
        (3, -0.1, -0.1, Label.NEGATIVE),
        (5, 0.0, 0.0, Label.POSITIVE),
        (5, -0.8, -0.8, Label.POSITIVE),
        (1, 0.9, 0.9, Label.NEGATIVE),
    ],
)
def test_stars_say_how_a_review_was_meant_and_words_where_they_do_not(
    stars: int | None, words: float | None, score: float, label: Label
) -> None:
    assert judge(stars, words) == (score, label)


@given(STARS, WORDS)
def test_one_star_more_never_makes_a_review_worse(stars: int | None, words: float | None) -> None:
    order = [Label.NEGATIVE, Label.NEUTRAL, Label.POSITIVE]
    score, label = judge(stars, words)
    assert -1 <= score <= 1
    if stars is not None and stars < 5:
        assert order.index(judge(stars + 1, words)[1]) >= order.index(label)


@pytest.mark.parametrize(("stars", "label"), [(5, "positive"), (3, "neutral")])
def test_a_review_that_is_not_bad_has_no_case(stars: int, label: str) -> None:
    decision = analysed(replace(REVIEW, stars=stars, text=None), None, NOW)
    assert told(decision) == [ReviewAnalysed]
    assert decision is not None
    assert (decision.state.label, decision.state.case) == (label, None)


def test_a_bad_review_opens_a_case_with_its_id() -> None:
    decision = analysed(REVIEW, -0.2, NOW)
    assert decision is not None
    assert decision.events == (
        ReviewAnalysed(review="r-1", order="o-1", customer=ADA, stars=2, score=-0.2, label="negative"),
        CaseOpened(case="r-1", order="o-1", customer_id="ada", score=-0.2),
    )
    assert (decision.state.case, decision.state.opened_at) == (CaseStatus.OPEN, NOW)


def test_a_review_that_is_analysed_again_changes_and_says_nothing() -> None:
    assert analysed(bad(), 0.9, NOW) is None


def test_a_case_that_is_resolved_tells_how_and_by_whom() -> None:
    decision = resolve(bad(), AMENDS, NOW)
    assert decision.events == (
        CaseResolved(case="r-1", order="o-1", customer_id="ada", note="Called her.", points=20, by="grace"),
    )
    assert (decision.state.case, decision.state.resolved_by) == (CaseStatus.RESOLVED, "grace")


def test_a_case_is_resolved_once() -> None:
    with pytest.raises(Resolved, match="by grace at 2026-11-01 18:30 UTC"):
        resolve(resolve(bad(), AMENDS, NOW).state, Resolution("Again", 10_000, "eve"), NOW)
