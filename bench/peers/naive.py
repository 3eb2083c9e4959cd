"""Is the naive shop: saves, takes from stock and charges inside the request; simple, and right while nobody waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import uvicorn
from fastapi import FastAPI, HTTPException, Request

from bench.peers import bare
from bench.peers.bare import Accepted, NewOrder

STOCK = """
CREATE TABLE IF NOT EXISTS stock (sku text PRIMARY KEY, on_hand bigint NOT NULL CHECK (on_hand >= 0));
INSERT INTO stock SELECT unnest(ARRAY['dough', 'tomato-sauce', 'mozzarella', 'basil']), 1000000000
ON CONFLICT DO NOTHING
"""
TAKE = """
UPDATE stock SET on_hand = on_hand - $2
WHERE sku IN (SELECT sku FROM stock WHERE sku = ANY($1) ORDER BY sku FOR UPDATE)
"""
RECIPES = {"margherita": ["dough", "tomato-sauce", "mozzarella", "basil"]}
PRICES = {"margherita": 1200}
UNLIMITED = httpx.Limits(max_connections=None)


class Settings(bare.Settings):
    provider_url: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = Settings()
    async with (
        asyncpg.create_pool(settings.database_url, min_size=10, max_size=10) as pool,
        httpx.AsyncClient(base_url=settings.provider_url, timeout=30, limits=UNLIMITED, trust_env=False) as provider,
    ):
        await pool.execute(bare.TABLE)
        await pool.execute("ALTER TABLE orders ADD COLUMN IF NOT EXISTS status text NOT NULL DEFAULT 'placed'")
        await pool.execute(STOCK)
        app.state.pool, app.state.provider = pool, provider
        yield


app = FastAPI(title="Naive shop", lifespan=lifespan)


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/orders", status_code=201)
async def place_order(order: NewOrder, request: Request) -> Accepted:
    pool: asyncpg.Pool[Any] = request.app.state.pool
    order_id = uuid4()
    async with pool.acquire() as connection, connection.transaction():
        await save(connection, order_id, order)
        for line in order.lines:
            await connection.execute(TAKE, RECIPES[line.item], line.quantity)
    await pay(request.app.state.provider, order_id, order)
    await pool.execute("UPDATE orders SET status = 'paid' WHERE id = $1", order_id)
    return Accepted(id=order_id, status="paid")


async def save(connection: Any, order_id: UUID, order: NewOrder) -> None:
    customer, lines = order.customer.model_dump_json(), order.lines_json()
    await connection.execute(bare.INSERT, order_id, customer, order.currency, order.fulfilment, order.address, lines)


async def pay(provider: httpx.AsyncClient, order_id: UUID, order: NewOrder) -> None:
    """Charge; when the provider refuses for the rate, wait as long as it asks and try again."""
    amount = sum(PRICES[line.item] * line.quantity for line in order.lines)
    charge = {
        "reference": str(order_id),
        "amount": {"amount": amount, "currency": order.currency},
        "customer": order.customer.id,
    }
    while True:
        answer = await provider.post("/charges", json=charge, headers={"Idempotency-Key": str(order_id)})
        if answer.status_code != 429:
            break
        await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
    if answer.is_error:
        raise HTTPException(502, "The payment failed.")


if __name__ == "__main__":
    port = Settings().port
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_level="warning", access_log=False)
