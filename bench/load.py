"""Is the load: `python -m bench.load JSON` keeps connections busy with POSTs and prints what it saw as JSON.

It speaks just enough HTTP/1.1 for that, over prepared bytes, because a real client would be slower than the
servers. The same for us and for everybody we are compared with. With a `rate` it sends at that pace whether or not
answers come, a connection each, and gives up after `timeout` seconds, as a shop's customers do.
"""

import asyncio
import json
import re
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

import uvloop

_NOBODY = "nobody-known"
"""As long as the numbers that take its place."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Plan:
    """Says what to send, and for how long (seconds)."""

    ports: list[int]
    path: str
    body: dict[str, Any]
    seconds: float
    connections: int = 64
    rate: float = 0.0
    timeout: float = 30.0
    newcomers: bool = False
    token: str = ""
    """With what each request is let in; nothing where everybody is."""


class Requests:
    """Makes POSTs that differ in nothing but their Idempotency-Key; with newcomers, each is of another customer."""

    def __init__(self, plan: Plan) -> None:
        body = json.dumps(_with_customer(plan.body, _NOBODY) if plan.newcomers else plan.body).encode()
        let_in = f"Authorization: Bearer {plan.token}\r\n" if plan.token else ""
        head = (
            f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.ports[0]}\r\nAccept: application/json\r\n"
            f"{let_in}Content-Type: application/json\r\nContent-Length: {len(body)}\r\nIdempotency-Key: {uuid4().hex}"
        )
        self._head, self._tail = head.encode(), b"\r\n\r\n" + body
        self._newcomers = int(time.time()) % 10_000 * 10**8 if plan.newcomers else None
        self.made = 0

    def next(self) -> bytes:
        self.made += 1
        made = b"%b%012d%b" % (self._head, self.made, self._tail)
        if self._newcomers is None:
            return made
        return made.replace(_NOBODY.encode(), b"%012d" % (self._newcomers + self.made))


def _with_customer(body: dict[str, Any], customer: str) -> dict[str, Any]:
    return {**body, "customer": {**body["customer"], "id": customer}}


@dataclass
class Tally:
    """Counts what came back. Latencies are those of successes, in seconds."""

    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    statuses: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    seconds: float = 0.0

    def count(self, status: int, seconds: float) -> None:
        self.statuses[str(status)] += 1
        if status < 400:
            self.latencies.append(seconds)

    def add(self, answers: "Tally") -> None:
        """Count one connection's answer; an empty one is a connection that the server closed."""
        self.latencies.extend(answers.latencies)
        self.statuses.update(answers.statuses or {"closed": 1})

    def report(self) -> dict[str, Any]:
        ordered = sorted(self.latencies)
        return {
            "rate": len(ordered) / self.seconds,
            "sent": self.sent,
            "succeeded": len(ordered),
            "statuses": self.statuses,
            "seconds": self.seconds,
            "p50": percentile(ordered, 0.50) * 1000,
            "p99": percentile(ordered, 0.99) * 1000,
            "cpu": time.process_time(),
        }


def percentile(ordered: "list[float] | array[float]", share: float) -> float:
    """Return the value below which that share (0 to 1) of the sorted values lies; 0 when there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Exchange(asyncio.Protocol):
    """Drives one connection: sends a request, reads the answer, asks what to do next."""

    def __init__(self, following: Callable[[], bytes | None], answered: Callable[[int, float], None]) -> None:
        self._following = following
        self._answered = answered
        self._received = b""
        self._needed = 0
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._needed:
            self._needed = _length(self._received)
        if not self._needed or len(self._received) < self._needed:
            return
        self._answered(int(self._received[9:12]), time.perf_counter() - self._sent)
        self._received, self._needed = b"", 0
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self.closed.done():
            self.closed.set_result(None)

    def leave(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        assert self._transport is not None
        request = self._following()
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)


def _length(received: bytes) -> int:
    """Return the length of the whole answer in bytes, 0 while that cannot be told yet."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 0
    found = _LENGTH.search(received, 0, end + 2)
    if found is None:
        raise ValueError(f"an answer without a length: {received[:200]!r}")
    return end + 4 + int(found[1])


async def closed_loop(plan: Plan) -> Tally:
    """Keep all connections busy all the time."""
    tally, requests = Tally(), Requests(plan)
    began = time.perf_counter()
    deadline = began + plan.seconds

    def following() -> bytes | None:
        if time.perf_counter() >= deadline:
            return None
        return requests.next()

    loop = asyncio.get_running_loop()
    exchanges = []
    for number in range(plan.connections):
        port = plan.ports[number % len(plan.ports)]
        _, exchange = await loop.create_connection(lambda: Exchange(following, tally.count), "127.0.0.1", port)
        exchanges.append(exchange.closed)
    await asyncio.wait_for(asyncio.gather(*exchanges), plan.seconds + plan.timeout)
    tally.seconds, tally.sent = time.perf_counter() - began, requests.made
    return tally


async def open_loop(plan: Plan) -> Tally:
    """Send a request every 1/rate seconds, come what may."""
    tally, requests = Tally(), Requests(plan)
    began = time.perf_counter()
    asked = []
    for number in range(int(plan.rate * plan.seconds)):
        await asyncio.sleep(max(0.0, began + number / plan.rate - time.perf_counter()))
        port = plan.ports[number % len(plan.ports)]
        asked.append(asyncio.create_task(_ask(port, requests.next(), plan.timeout, tally)))
    tally.seconds, tally.sent = time.perf_counter() - began, requests.made
    await asyncio.gather(*asked)
    return tally


async def _ask(port: int, request: bytes, timeout: float, tally: Tally) -> None:
    waiting = [request]
    answers = Tally()
    try:
        async with asyncio.timeout(timeout):
            _, exchange = await asyncio.get_running_loop().create_connection(
                lambda: Exchange(lambda: waiting.pop() if waiting else None, answers.count), "127.0.0.1", port
            )
            try:
                await exchange.closed
            finally:
                exchange.leave()
        tally.add(answers)
    except TimeoutError:
        tally.statuses["timeout"] += 1
    except OSError:
        tally.statuses["refused"] += 1


def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally = runner.run(open_loop(plan) if plan.rate else closed_loop(plan))
    json.dump(tally.report(), sys.stdout)


if __name__ == "__main__":
    main()
