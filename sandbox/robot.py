"""The staff: presses the kitchen's and the courier's buttons some time after each became pressable."""

import asyncio
import contextlib
import logging
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from sandbox.own_token import OwnToken
from sandbox.serving import Arguments, http_url, log_to_stderr, not_negative

log = logging.getLogger("robot")
Item = dict[str, Any]
Seen = tuple[str, str]  # order, status

AT_ONCE = 200  # orders that a button is pressed for in one go
PRESS_AGAIN = 2.0  # seconds before a button is tried again that changed nothing
LONGEST_BACKOFF = 15.0


def kitchen_button(ticket: Item) -> str | None:
    return {"waiting": "prepared", "prepared": "baked"}.get(ticket["status"])


def delivery_button(delivery: Item) -> str | None:
    start = "collected" if delivery["fulfilment"] == "collection" else "dispatched"
    return {"ready": start, "dispatched": "delivered"}.get(delivery["status"])


@dataclass(frozen=True)
class Room:
    """Describes one place of work: `GET path?status=open` lists its items, `POST path/button` presses it for some."""

    path: str
    button: Callable[[Item], str | None]


KITCHEN = Room("/tickets", kitchen_button)
DELIVERY = Room("/deliveries", delivery_button)


class Worker:
    """Works one room over HTTP. `delay` is counted from when the worker first saw an item in its status."""

    def __init__(self, room: Room, client: httpx.AsyncClient, delay: float) -> None:
        self._room = room
        self._client = client
        self._delay = delay
        self._due: dict[Seen, float] = {}

    async def work(self) -> None:
        """Go round for ever; while the service is away, ask again after 1, 2, 4 … 15 seconds."""
        between = min(1.0, max(0.1, self._delay / 5))
        backoff = 0.0
        while True:
            try:
                await self.round()
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                backoff = min(LONGEST_BACKOFF, backoff * 2 or 1)
                self._say_away(error, backoff)
            else:
                backoff = 0.0
            await asyncio.sleep(backoff or between)

    async def round(self) -> None:
        """Look at everything open and press what is due. Raises httpx.HTTPError when it cannot look."""
        items = await self._open_items()
        now = time.monotonic()
        self._due = {seen: self._due.get(seen, now + self._delay) for seen in map(_seen, items)}
        due: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            if (button := self._room.button(item)) and self._due[_seen(item)] <= now:
                due[button].append(item)
        for button, ready in due.items():
            for first in range(0, len(ready), AT_ONCE):
                await self._press(button, ready[first : first + AT_ONCE])

    async def _open_items(self) -> list[Item]:
        items: list[Item] = []
        page = httpx.URL(self._room.path, params={"status": "open", "limit": "200"})
        while True:
            answer = await self._client.get(page)
            body = answer.raise_for_status().json()
            items += [item for item in body["items"] if self._room.button(item)]
            if not body["next"]:
                return items
            page = page.copy_merge_params({"after": body["next"]})

    async def _press(self, button: str, items: Sequence[Item]) -> None:
        """Press a button for these items. Where it is refused, somebody else pressed it, or the order was cancelled."""
        later = time.monotonic() + PRESS_AGAIN
        self._due |= {_seen(item): later for item in items}
        path = f"{self._room.path}/{button}"
        body = {"orders": [item["order"] for item in items]}
        try:
            answer = await self._client.post(path, json=body)
        except httpx.HTTPError as error:
            log.debug("POST %s: %r", path, error)
            return
        if answer.is_error:
            log.warning("POST %s answered %s", path, answer.status_code)

    def _say_away(self, error: Exception, backoff: float) -> None:
        log.info("%s%s cannot be read (%r), again in %g s", self._client.base_url, self._room.path, error, backoff)


def _seen(item: Item) -> Seen:
    return item["order"], item["status"]


def client(url: str, own_token: httpx.Auth | None = None) -> httpx.AsyncClient:
    """Make a client that goes straight to `url`, whatever proxy the environment names."""
    return httpx.AsyncClient(base_url=url, timeout=10, trust_env=False, auth=own_token)


async def run(kitchen: str, delivery: str, delay: float, own_token: httpx.Auth | None) -> None:
    """Work both rooms until SIGINT or SIGTERM."""
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None  # noqa: S101 - a coroutine that runs has a task
    for stop in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop, this.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        async with client(kitchen, own_token) as kitchen_client, client(delivery, own_token) as delivery_client:
            rooms = Worker(KITCHEN, kitchen_client, delay), Worker(DELIVERY, delivery_client, delay)
            await asyncio.gather(*(worker.work() for worker in rooms))


def main() -> None:
    parser = Arguments("sandbox.robot", __doc__)
    parser.setting("--kitchen", "SLICELINE_KITCHEN_URL", "http://127.0.0.1:8004", http_url)
    parser.setting("--delivery", "SLICELINE_DELIVERY_URL", "http://127.0.0.1:8005", http_url)
    parser.setting("--delay", "SLICELINE_ROBOT_DELAY", "5", not_negative)
    parser.setting("--issuer", "SLICELINE_ISSUER", "")
    parser.setting("--tokens", "SLICELINE_ISSUER_TOKENS", "")
    parser.setting("--key", "SLICELINE_IDENTITY_KEY_FILE", "")
    options = parser.parse_args()
    log_to_stderr()
    log.info("each step after %g s, kitchen %s, delivery %s", options.delay, options.kitchen, options.delivery)
    known = options.issuer and options.key
    own_token = OwnToken("robot", options.issuer, options.key, options.tokens) if known else None
    asyncio.run(run(options.kitchen, options.delivery, options.delay, own_token))


if __name__ == "__main__":
    main()
