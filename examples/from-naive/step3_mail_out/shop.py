"""Is the shop that does not mail any more: whoever wants to tell the customer hears of the order."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException
from msgspec import convert
from pydantic import BaseModel, Field

from backbone.publishing.relay import Relay
from backbone.storage.database import Database, Tx
from backbone.storage.migrations import upgrade
from backbone.values.brokers import Brokers
from step3_mail_out import events

TABLES = """
CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY, status text NOT NULL, content text NOT NULL);
CREATE TABLE IF NOT EXISTS stock (item text PRIMARY KEY, available int NOT NULL);
CREATE TABLE IF NOT EXISTS tickets (order_id text PRIMARY KEY);
INSERT INTO stock VALUES ('margherita', 10000), ('diavola', 10000) ON CONFLICT DO NOTHING
"""
PRICES = {"margherita": 950, "diavola": 1150}
DATABASE_URL = os.environ["SLICELINE_DATABASE_URL"]
database = Database(DATABASE_URL, "orders")


class Customer(BaseModel):
    id: str = Field(min_length=1, max_length=64)
    name: str = Field(min_length=1, max_length=200)
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)


class NewOrder(BaseModel):
    customer: Customer
    address: str = Field(min_length=1, max_length=500)
    item: Literal["margherita", "diavola"]
    quantity: int = Field(ge=1, le=100)

    @property
    def total(self) -> int:
        return PRICES[self.item] * self.quantity


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    relay = Relay(database, Brokers(os.environ["SLICELINE_KAFKA"]))
    async with httpx.AsyncClient(base_url=os.environ["SLICELINE_PROVIDER_URL"], timeout=30) as app.state.provider:
        async with database.transaction() as tx:
            await tx.raw.execute(TABLES)
        publishing = asyncio.create_task(relay.run())
        yield
        relay.stop()
        await publishing
    await database.close()


app = FastAPI(title="The old shop", lifespan=lifespan)


@app.post("/orders", status_code=201)
async def place_order(order: NewOrder) -> dict[str, str]:
    order_id = str(uuid4())
    async with database.transaction() as tx:
        await save(tx, order_id, order)
        await reserve(tx, order)
    if not await charge(order_id, order):
        async with database.transaction() as tx:
            await reject(tx, order_id, order)
        raise HTTPException(402, "The payment was declined.")
    async with database.transaction() as tx:
        await cook(tx, order_id, order)
    return {"id": order_id, "status": "confirmed"}


@app.get("/orders/{order_id}")
async def get_order(order_id: str) -> dict[str, str]:
    async with database.transaction() as tx:
        status = await tx.raw.fetchval("SELECT status FROM orders WHERE id = $1", order_id)
    if status is None:
        raise HTTPException(404, "There is no such order.")
    return {"id": order_id, "status": status}


async def save(tx: Tx, order_id: str, order: NewOrder) -> None:
    await tx.raw.execute("INSERT INTO orders VALUES ($1, 'placed', $2)", order_id, order.model_dump_json())
    tx.publish(told(events.OrderPlaced, order_id, order), key=order_id)


async def reserve(tx: Tx, order: NewOrder) -> None:
    taken = "UPDATE stock SET available = available - $2 WHERE item = $1 AND available >= $2 RETURNING item"
    if not await tx.raw.fetchval(taken, order.item, order.quantity):
        raise HTTPException(409, f"There is not enough {order.item} left.")


async def charge(order_id: str, order: NewOrder) -> bool:
    """Tell whether the customer's bank has paid."""
    body = {"reference": order_id, "amount": money(order.total), "customer": order.customer.id}
    answer = await app.state.provider.post("/charges", json=body, headers={"Idempotency-Key": order_id})
    if answer.status_code == 402:
        return False
    answer.raise_for_status()
    return True


async def cook(tx: Tx, order_id: str, order: NewOrder) -> None:
    """Put a ticket before the oven: the order is good."""
    await tx.raw.execute("INSERT INTO tickets VALUES ($1)", order_id)
    await tx.raw.execute("UPDATE orders SET status = 'confirmed' WHERE id = $1", order_id)
    tx.publish(told(events.OrderConfirmed, order_id, order), key=order_id)


async def reject(tx: Tx, order_id: str, order: NewOrder) -> None:
    """Give the stock back: what was committed is not rolled back any more, it is made good."""
    await tx.raw.execute("UPDATE stock SET available = available + $2 WHERE item = $1", order.item, order.quantity)
    await tx.raw.execute("UPDATE orders SET status = 'rejected' WHERE id = $1", order_id)
    tx.publish(told(events.OrderRejected, order_id, order), key=order_id)


def told(kind: type[events.E], order_id: str, order: NewOrder) -> events.E:
    """Tell an event of this order in the words of its contract."""
    line = {"item": order.item, "quantity": order.quantity, "unit_price": money(PRICES[order.item]), "baked": True}
    facts = {"order": order_id, "customer": order.customer.model_dump(), "address": order.address, "lines": [line]}
    return convert({**facts, "total": money(order.total)}, kind)


def money(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "GBP"}


if __name__ == "__main__":
    upgrade("orders", DATABASE_URL, Path(__file__).parent / "migrations")
    uvicorn.run(app, port=int(os.environ["SLICELINE_PORT"]), log_level="warning")
