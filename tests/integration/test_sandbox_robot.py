"""The staff robot against a kitchen and a courier's desk made for it."""

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException

from sandbox.robot import AT_ONCE, DELIVERY, KITCHEN, Room, Worker

ROOT = Path(__file__).parents[2]
Json = dict[str, Any]

MOVES = {
    "prepared": ("waiting", "prepared"),
    "baked": ("prepared", "baked"),
    "dispatched": ("ready", "dispatched"),
    "delivered": ("dispatched", "delivered"),
    "collected": ("ready", "collected"),
}


ENDED = ("baked", "delivered", "collected")


class Shop:
    """Tickets or deliveries behind the HTTP API that the robot knows, in pages of `size`."""

    def __init__(self, path: str, size: int = 100) -> None:
        self.items: dict[str, Json] = {}
        self.pressed: list[str] = []
        self.away = False
        self.asked, self.done = asyncio.Event(), asyncio.Event()
        self.app = FastAPI()
        self.size = size
        self.first = "waiting" if path == "/tickets" else "ready"
        self.app.get(path)(self.open_items)
        self.app.post(path + "/{button}")(self.press)

    async def open_items(self, status: str, after: str = "") -> Json:
        self.asked.set()
        if self.away:
            raise HTTPException(503)
        assert status == "open"
        still = [i for i in self.items.values() if i["status"] not in ENDED]
        rest = [item for item in still if item["order"] > after]
        more = rest[self.size - 1]["order"] if rest[self.size :] else None
        return {"items": rest[: self.size], "next": more}

    async def press(self, button: str, body: dict[str, list[str]]) -> None:
        assert 1 <= len(body["orders"]) <= AT_ONCE
        for order in body["orders"]:
            self.press_for(order, button)
        if self.statuses() == {"baked"}:
            self.done.set()

    def press_for(self, order: str, button: str) -> None:
        self.pressed.append(f"{order} {button}")
        before, after = MOVES[button]
        if not self.items[order].get("stuck") and self.items[order]["status"] == before:
            self.items[order]["status"] = after

    def add(self, count: int, **more: Any) -> None:
        orders = [str(uuid.uuid4()) for _ in range(count)]
        self.items |= {o: {"order": o, "status": self.first} | more for o in sorted(orders)}

    def statuses(self) -> set[str]:
        return {item["status"] for item in self.items.values()}


def robot(shop: Shop, room: Room, delay: float = 0) -> Worker:
    transport = httpx.ASGITransport(shop.app)
    return Worker(room, httpx.AsyncClient(transport=transport, base_url="http://shop"), delay)


async def test_the_robot_works_off_every_page_of_tickets() -> None:
    shop = Shop("/tickets", size=7)
    shop.add(50)
    worker = robot(shop, KITCHEN)
    await worker.round()
    assert shop.statuses() == {"prepared"}
    await worker.round()
    assert shop.statuses() == {"baked"}
    assert len(shop.pressed) == 100


async def test_a_long_queue_is_pressed_in_several_goes() -> None:
    shop = Shop("/tickets", size=500)
    shop.add(2 * AT_ONCE + 1)
    await robot(shop, KITCHEN).round()
    assert shop.statuses() == {"prepared"}


async def test_the_robot_delivers_or_hands_over() -> None:
    shop = Shop("/deliveries")
    shop.add(2, fulfilment="delivery")
    shop.add(1, fulfilment="collection")
    worker = robot(shop, DELIVERY)
    for _ in range(3):
        await worker.round()
    buttons = sorted(press.split()[1] for press in shop.pressed)
    assert buttons == ["collected", "delivered", "delivered", "dispatched", "dispatched"]


async def test_the_robot_leaves_people_time_and_a_refused_button_alone_for_a_while() -> None:
    shop = Shop("/tickets")
    shop.add(1, stuck=True)
    patient, eager = robot(shop, KITCHEN, delay=60), robot(shop, KITCHEN)
    await patient.round()
    assert shop.pressed == []
    await eager.round()
    await eager.round()
    assert len(shop.pressed) == 1


async def test_the_robot_comes_back_when_a_service_does() -> None:
    shop = Shop("/tickets")
    shop.add(3)
    shop.away = True
    working = asyncio.create_task(robot(shop, KITCHEN).work())
    async with asyncio.timeout(10):
        await shop.asked.wait()
        shop.away = False
        await shop.done.wait()
    working.cancel()
    assert shop.statuses() == {"baked"}


def test_the_robot_stops_when_told_though_nobody_answers() -> None:
    nobody = "http://127.0.0.1:1"
    environment = os.environ | {"SLICELINE_KITCHEN_URL": nobody, "SLICELINE_DELIVERY_URL": nobody}
    command = [sys.executable, "-m", "sandbox.robot"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("cannot be read" in line for line in process.stderr)
        process.terminate()
        assert process.wait(5) == 0
