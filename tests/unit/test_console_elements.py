"""What pages have in common says what is so."""

import pytest

from services.console import elements, forms
from services.console.asking import Ask, Services, at
from services.console.session import Session
from services.console.shell import Page, document


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (0.0304, "30 ms"),
        (4.21, "4.2 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (86_400, "1 d"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_duration_is_said_in_parts_that_help(value: float | None, said: str) -> None:
    assert elements.seconds(value) == said


def test_a_mark_says_how_something_is_by_more_than_colour() -> None:
    assert "✓" in str(elements.mark("completed"))
    assert "!" in str(elements.mark("parked"))


def test_what_somebody_has_typed_is_shown_and_does_nothing() -> None:
    shown = str(elements.field("name", "Name", '"><script>alert(1)</script>'))
    assert "<script>" not in shown
    assert at("/orders/{order}", order="../x?y#z") == "/orders/..%2Fx%3Fy%23z"


def test_a_list_says_how_much_of_it_is_shown() -> None:
    assert "The first 50 of 31,204." in str(elements.more(50, 31_204, "/orders", {}, "next"))
    assert "All 3." in str(elements.more(3, None, "/orders", {}, None))
    assert "The next 50 of more than 10,000." in str(
        elements.more(50, "more than 10,000", "/orders", {"after": "x"}, "y")
    )


def test_an_empty_table_says_what_would_be_here() -> None:
    assert "Nothing waits." in str(elements.table(["Order"], [], "Nothing waits.", "Orders"))


@pytest.mark.parametrize("word", ["a+b", "a.b", "(", "a b"])
def test_whatever_has_to_be_typed_can_be_typed(word: str) -> None:
    shown = str(forms.typed("give up", word))
    assert f"Type {word} to give up" in shown
    assert "pattern" not in shown, "a browser would read it as an expression"


@pytest.mark.parametrize(("scope", "is_told"), [("orders.read", True), ("orders.read.own", False)])
def test_the_key_of_the_search_is_told_to_those_who_have_one(scope: str, is_told: bool) -> None:
    ask = Ask(Session("ada", frozenset({scope}), "", float("inf")), Services(None, {}))  # type: ignore[arg-type]
    shown = str(document(Page("Menu", None), ask, []))
    assert ("<kbd>/</kbd>" in shown) == is_told
    assert "<kbd>?</kbd>" in shown
