"""Facts are folded over what is known, one by one and each under its own key."""

from typing import NamedTuple

from backbone.decision import Decision, Start, fold


class Paid(NamedTuple):
    account: str
    amount: int


def pay(balance: int | None, fact: Paid) -> Decision[int] | None:
    """Pays nothing for nothing."""
    return Decision((balance or 0) + fact.amount, start=(Start("receipt"),)) if fact.amount else None


def test_each_fact_is_decided_over_what_those_before_it_left() -> None:
    folded = fold({"ada": 1, "bob": 9}, [Paid("ada", 2), Paid("cy", 3), Paid("ada", 4)], lambda fact: fact.account, pay)
    assert folded.changed == {"ada": 7, "cy": 3}
    assert [(key, fact.amount, decision.state) for key, fact, decision in folded] == [
        ("ada", 2, 3),
        ("cy", 3, 3),
        ("ada", 4, 7),
    ]


def test_a_fact_that_decides_nothing_changes_nothing() -> None:
    known = {"ada": 1}
    folded = fold(known, [Paid("ada", 0), Paid("cy", 0)], lambda fact: fact.account, pay)
    assert (folded.changed, list(folded)) == ({}, [])


def test_what_is_known_is_left_as_it_was() -> None:
    known = {"ada": 1}
    fold(known, [Paid("ada", 2)], lambda fact: fact.account, pay)
    assert known == {"ada": 1}
