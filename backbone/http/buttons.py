"""Buttons: whoever does a step of the work reports it, for one thing or for many at once."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from fastapi import Response

from backbone.decision import Decision, Refusal
from backbone.http.answers import Answer
from backbone.http.commands import CommandRequest
from backbone.http.problems import Problem
from backbone.storage.database import Tx


class Moved(Protocol):
    """A thing that buttons move, whose events go on with the story it came from."""

    @property
    def correlationid(self) -> str | None:
        """The id of that story; None where it is not known."""


S = TypeVar("S", bound=Moved)
B = TypeVar("B")
V = TypeVar("V")


@dataclass(frozen=True)
class Buttons(Generic[S, B, V]):
    """Moves things on by the press of a button; one button is many buttons of one."""

    lock_all: Callable[[Tx, Sequence[str]], Awaitable[Mapping[str, S]]]
    save_all: Callable[[Tx, Collection[S]], Awaitable[None]]
    decide: Callable[[S, B, str], Decision[S]]
    """Decides by a button and who presses it. Raises Refusal."""
    unknown: Callable[[str], Problem]
    """Says that there is nothing under a key."""
    refused: Callable[[Refusal], Problem]
    """Says why a button moves nothing."""
    show: Callable[[S], V]
    show_all: Callable[[list[V], dict[str, str]], Any]
    """Shows the things that are where the button moves them, and by key why others are not."""

    async def press(self, command: CommandRequest, key: str, button: B) -> Response:
        """Press for one thing, and answer with it as it is from now on. Raises Problem."""

        async def effect(tx: Tx) -> Answer:
            [outcome] = (await self._outcomes(tx, [key], button, command.actor)).values()
            if isinstance(outcome, Problem):
                raise outcome
            return Answer(self.show(outcome))

        return await command.run(effect)

    async def press_all(self, command: CommandRequest, keys: Sequence[str], button: B) -> Response:
        """Press for each of many things; one that is refused does not hold up the others."""

        async def effect(tx: Tx) -> Answer:
            outcomes = await self._outcomes(tx, keys, button, command.actor)
            moved = [self.show(each) for each in outcomes.values() if not isinstance(each, Problem)]
            refused = {key: str(each) for key, each in outcomes.items() if isinstance(each, Problem)}
            return Answer(self.show_all(moved, refused))

        return await command.run(effect)

    async def _outcomes(self, tx: Tx, keys: Sequence[str], button: B, by: str) -> dict[str, S | Problem]:
        known = await self.lock_all(tx, keys)
        outcomes = {key: self._press(tx, key, known.get(key), button, by) for key in dict.fromkeys(keys)}
        await self.save_all(tx, [each for each in outcomes.values() if not isinstance(each, Problem)])
        return outcomes

    def _press(self, tx: Tx, key: str, thing: S | None, button: B, by: str) -> S | Problem:
        if thing is None:
            return self.unknown(key)
        try:
            decision = self.decide(thing, button, by)
        except Refusal as refusal:
            return self.refused(refusal)
        tx.apply(decision, key=key, cause=tx.cause.within(thing.correlationid))
        return decision.state
