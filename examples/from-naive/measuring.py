"""Puts every step under the same load, and prints what became of the orders: `examples/from-naive/measure`."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from world import STEPS, World, world_of_its_own

PATIENCE = 5.0
"""Seconds after which a customer gives up."""
STEADY = 25.0
"""Seconds without a change after which none will come: longer than a lease, and than Kafka takes to miss the dead."""
HEAD = "| step | yes | p50 | p99 | confirmed | paid for nothing | without a trace | stuck | mails missing | events |"


@dataclass(frozen=True)
class Scene:
    """Says how much comes (orders a second, for so many seconds), and what goes wrong meanwhile."""

    title: str
    rate: float
    seconds: float
    charging: float = 0.2
    goes_wrong: Callable[[World, str], Coroutine[Any, Any, None]] | None = None


@dataclass
class Found:
    """Holds what became of a step's orders. Orders are told apart by their customers: each orders once."""

    sent: set[str] = field(default_factory=set)
    answers: dict[str, float] = field(default_factory=dict)
    books: dict[str, str] = field(default_factory=dict)
    charged: set[str] = field(default_factory=set)
    mailed: set[str] = field(default_factory=set)
    events: int = 0

    @property
    def confirmed(self) -> set[str]:
        return {who for who, status in self.books.items() if status == "confirmed"}

    def row(self, step: str) -> str:
        """Write a line of the scene's table."""
        stuck = [who for who, status in self.books.items() if status == "placed"]
        cells = [
            step,
            f"{len(self.answers)} of {len(self.sent)}",
            f"{self.answered_within(0.5):,.0f} ms",
            f"{self.answered_within(0.99):,.0f} ms",
            len(self.confirmed),
            len(self.charged - self.confirmed),
            len(self.charged - self.books.keys()),
            len(stuck),
            len(self.confirmed - self.mailed),
            self.events,
        ]
        return f"| {' | '.join(map(str, cells))} |"

    def answered_within(self, share: float) -> float:
        """Return the milliseconds in which that share of those who were answered had their answer."""
        ordered = sorted(self.answers.values())
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


async def kill_and_start(there: World, step: str) -> None:
    """Kill every process of the step after two seconds, and start them again, as a supervisor would."""
    await asyncio.sleep(2)
    there.kill()
    there.launch(step)


async def take_mail_away(there: World, _: str) -> None:
    """Let the mail server be away for four seconds."""
    there.kill("mail")
    await asyncio.sleep(4)
    there.start_outside("mail")


SCENES = [
    Scene("A quiet evening", rate=4, seconds=5),
    Scene("The payment provider takes a second for each charge, at 10 orders a second", 10, 6, charging=1.0),
    Scene("The mail server is away for 4 seconds", rate=4, seconds=5, goes_wrong=take_mail_away),
    Scene("All processes are killed after 2 seconds, and started again", 6, 6, charging=0.5, goes_wrong=kill_and_start),
]


async def play(there: World, step: str, scene: Scene, client: httpx.AsyncClient) -> Found:
    """Put a step under the scene's load, on empty databases and topics, and look what is left in the end."""
    await there.make_topics()
    await there.make_databases()
    await client.delete(f"{there.url('provider')}/ledger")
    await client.put(f"{there.url('provider')}/moods", json={"slow_seconds": scene.charging})
    await client.delete(f"{there.url('mail')}/api/v1/messages")
    there.start(step)
    found = Found()
    wrong = asyncio.create_task(scene.goes_wrong(there, step)) if scene.goes_wrong else None
    await rush(there.url("shop"), scene, client, found)
    if wrong:
        await wrong
    await settle(there, client, found)
    found.events = await count_events(there.kafka)
    there.kill()
    return found


async def rush(url: str, scene: Scene, client: httpx.AsyncClient, found: Found) -> None:
    """Send orders at the scene's pace, whether or not answers come."""
    began, visits = time.perf_counter(), []
    for number in range(int(scene.rate * scene.seconds)):
        await asyncio.sleep(max(0.0, began + number / scene.rate - time.perf_counter()))
        visits.append(asyncio.create_task(visit(url, f"c{number}", client, found)))
    await asyncio.gather(*visits)


async def visit(url: str, who: str, client: httpx.AsyncClient, found: Found) -> None:
    """Order as one customer, who does not ask again."""
    item = "margherita" if int(who[1:]) % 2 else "diavola"
    customer = {"id": who, "name": who, "email": f"{who}@example.com"}
    found.sent.add(who)
    began = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE):
            body = {"customer": customer, "address": "1 Mill Lane", "item": item, "quantity": 1}
            answer = await client.post(f"{url}/orders", json=body)
    except (TimeoutError, httpx.TransportError):
        return
    if answer.is_success:
        found.answers[who] = time.perf_counter() - began


async def settle(there: World, client: httpx.AsyncClient, found: Found) -> None:
    """Wait until all is well, or until nothing has changed for so long that it will stay as it is."""
    changed, seen = time.monotonic(), ""
    while time.monotonic() - changed < STEADY:
        await look(there, client, found)
        if found.sent == found.mailed == found.confirmed:
            return
        now = repr((sorted(found.books.items()), len(found.charged), len(found.mailed)))
        changed, seen = (changed, seen) if now == seen else (time.monotonic(), now)
        await asyncio.sleep(0.5)


async def look(there: World, client: httpx.AsyncClient, found: Found) -> None:
    """Look into the shop's books, the provider's ledger, the customers' mail, and the topic."""
    connection = await asyncpg.connect(there.databases["shop"])
    orders = await connection.fetch("SELECT content, status FROM orders")
    await connection.close()
    found.books = {json.loads(order["content"])["customer"]["id"]: order["status"] for order in orders}
    ledger = (await client.get(f"{there.url('provider')}/ledger")).json()
    found.charged = {entry["customer"] for entry in ledger if entry["kind"] == "charge"}
    mails = (await client.get(f"{there.url('mail')}/api/v1/messages", params={"limit": 1000})).json()["messages"]
    found.mailed = {address["Address"].partition("@")[0] for mail in mails for address in mail["To"]}


async def count_events(bootstrap: str) -> int:
    """Count what the topic of orders holds."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        ends: dict[Any, int] = await consumer.end_offsets([TopicPartition("orders.events", each) for each in range(12)])
        return sum(ends.values())
    finally:
        await consumer.stop()


async def measure(there: World) -> None:
    strangers = httpx.Limits(max_connections=None, max_keepalive_connections=0)  # a connection for each
    async with httpx.AsyncClient(timeout=30, limits=strangers, trust_env=False) as client:
        for scene in SCENES:
            say(f"\n**{scene.title}**\n\n{HEAD}\n|{' --- |' * (HEAD.count('|') - 1)}")
            found = []
            for step in STEPS:
                found.append(await play(there, step, scene, client))
                say(found[-1].row(step))
            say(f"\n{compared(found[0], found[-1])}")


def compared(first: Found, last: Found) -> str:
    """Put into words what the whole way has won."""
    answered = (
        f"{len(first.answers)} of {len(first.sent)} customers were answered at first, {len(last.answers)} at last"
    )
    if not first.answers or not last.answers:
        return f"{answered}."
    times = first.answered_within(0.5) / last.answered_within(0.5)
    return f"{answered}; half of the answers came {times:,.1f} times as fast."


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    with world_of_its_own() as there:
        asyncio.run(measure(there))


if __name__ == "__main__":
    main()
