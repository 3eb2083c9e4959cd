"""Customers who order at some rate, and whose every request and answer is kept.

Whoever is not told what became of an order asks again under its Idempotency-Key, or walks away and never knows.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import httpx

from tests.faults.history import CANCEL, FAILED, OK, PLACE, READ, UNKNOWN, History, Told
from tests.system import Shop

BASKETS = ({"margherita": 1}, {"water": 2}, {"funghi": 1, "cola": 1}, {"pepperoni": 2})
HOT = {"cola": 1}
BURST = 30
"""Times the usual rate."""
ANSWER = 6.0
"""Seconds that a customer waits for an answer."""
STUBBORN, CANCELS, READS = 0.7, 0.15, 0.5
"""Shares: of those told nothing who ask again, and of those accepted who cancel later, and who look."""
ROUNDS = 40


@dataclass
class Crowd:
    """Places orders until told to stop. What it draws depends on the seed alone."""

    shop: Shop
    history: History
    seed: int
    rate: float
    began: float = field(default_factory=time.monotonic)
    bursting: bool = False
    hot: bool = False
    hurried: list[float] = field(default_factory=list)
    """How long orders of a burst waited for being accepted, in seconds."""
    wrong: list[str] = field(default_factory=list)
    """Answers that no customer should get."""
    _stop: bool = False

    async def order(self, most: int) -> None:
        """Place so many orders, or until `stop`; returns when all have done what they came for."""
        dice = random.Random(f"{self.seed}/crowd")
        async with asyncio.TaskGroup() as group:
            for _ in range(most):
                if self._stop:
                    break
                group.create_task(self._customer(random.Random(dice.getrandbits(64))))
                await asyncio.sleep(1 / (self.rate * (BURST if self.bursting else 1)))

    def stop(self) -> None:
        """Let nobody in any more, and nobody ask again: what is unknown by then stays so."""
        self._stop = True

    async def _customer(self, dice: random.Random) -> None:
        key = f"customer-{UUID(int=dice.getrandbits(128), version=4).hex[:16]}"
        basket = HOT if self.hot and dice.random() < 0.5 else dice.choice(BASKETS)
        stubborn = dice.random() < STUBBORN
        body = self.shop.body(basket, customer=key)
        for _ in range(ROUNDS):
            told = await self._ask(PLACE, key, lambda: self.shop.post_order(body, key))
            if told.outcome == OK or not stubborn or self._stop:
                break
            await asyncio.sleep(dice.uniform(0.3, 1.5))
        if told.outcome == OK:
            await self._goes_on(dice, key, told.order)

    async def _goes_on(self, dice: random.Random, key: str, order: str) -> None:
        where = self.shop.url("orders", f"/orders/{order}")
        if dice.random() < READS:
            await asyncio.sleep(dice.uniform(0, 3))
            await self._ask(READ, key, lambda: self.shop.http.get(where, timeout=ANSWER), order)
        if dice.random() < CANCELS:
            await asyncio.sleep(dice.uniform(0, 3))
            await self._ask(CANCEL, key, lambda: self.shop.http.post(f"{where}/cancel", timeout=ANSWER), order)

    async def _ask(self, what: str, key: str, ask: Callable[[], Awaitable[httpx.Response]], order: str = "") -> Told:
        began, hurried = time.monotonic(), self.bursting
        try:
            async with asyncio.timeout(ANSWER):
                answer = await ask()
        except (httpx.HTTPError, TimeoutError):
            return self._note(Told(what, key, UNKNOWN, began - self.began, time.monotonic() - self.began, order=order))
        ended = time.monotonic()
        if hurried and what == PLACE and answer.status_code == 202:
            self.hurried.append(ended - began)
        return self._note(self._told(what, key, answer, order, began - self.began, ended - self.began))

    def _told(self, what: str, key: str, answer: httpx.Response, order: str, began: float, ended: float) -> Told:
        """Only "not now" and "perhaps" are excused: 429 did nothing, of a 5xx nobody knows."""
        code = answer.status_code
        done = code in (200, 202)
        document = answer.json() if done else {}
        if not done and not _excused(what, answer):
            self.wrong.append(f"{what} of {key} was answered {code} {answer.text[:300]}")
        if code in (429, 503) and "Retry-After" not in answer.headers:
            self.wrong.append(f"{what} of {key} was answered {code} without Retry-After")
        outcome = OK if done else UNKNOWN if code >= 500 else FAILED
        return Told(what, key, outcome, began, ended, code, document.get("id", order), document.get("status", ""))

    def _note(self, told: Told) -> Told:
        self.history.add(told)
        return told


def _excused(what: str, answer: httpx.Response) -> bool:
    return answer.status_code in (429, 503) or (what == CANCEL and answer.status_code == 409)
