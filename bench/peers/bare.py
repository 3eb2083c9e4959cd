"""Is the bare peer: FastAPI, a Pydantic body, one INSERT, as most people would write it first, and nothing more.

The body has the fields and bounds of an order of ours; what it does not have is an outbox, an event, a price from
the menu or an Idempotency-Key that means anything.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import asyncpg
import uvicorn
from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

TABLE = """
CREATE TABLE IF NOT EXISTS orders (
  id uuid PRIMARY KEY, customer jsonb NOT NULL, currency text NOT NULL, fulfilment text NOT NULL, address text,
  lines jsonb NOT NULL, placed_at timestamptz NOT NULL DEFAULT now())
"""
INSERT = """
INSERT INTO orders (id, customer, currency, fulfilment, address, lines)
VALUES ($1, $2::text::jsonb, $3, $4, $5, $6::text::jsonb)
"""
PRINTED = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
EMAIL = r"^[^@\s\x00-\x1f\x7f-\x9f]+@[^@\s\x00-\x1f\x7f-\x9f]+$"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="PEER_")
    database_url: str
    port: int


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Customer(Body):
    id: Annotated[str, StringConstraints(max_length=64, pattern=PRINTED)]
    name: Annotated[str, StringConstraints(max_length=200, pattern=PRINTED)]
    email: Annotated[str, StringConstraints(max_length=254, pattern=EMAIL)]


class Line(Body):
    item: Annotated[str, StringConstraints(max_length=64, pattern=PRINTED)]
    quantity: Annotated[int, Field(strict=True, ge=1, le=1000)]


class NewOrder(Body):
    customer: Customer
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    fulfilment: Literal["delivery", "collection"] = "delivery"
    address: Annotated[str, StringConstraints(max_length=500, pattern=PRINTED)] | None = None
    lines: Annotated[list[Line], Field(min_length=1, max_length=50)]

    def lines_json(self) -> str:
        return "[" + ",".join(line.model_dump_json() for line in self.lines) + "]"


class Accepted(BaseModel):
    id: UUID
    status: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(Settings().database_url, min_size=10, max_size=10) as pool:
        await pool.execute(TABLE)
        app.state.pool = pool
        yield


app = FastAPI(title="Bare shop", lifespan=lifespan)


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/orders", status_code=202)
async def place_order(order: NewOrder, request: Request) -> Accepted:
    pool: asyncpg.Pool[Any] = request.app.state.pool
    order_id = uuid4()
    await pool.execute(
        INSERT,
        order_id,
        order.customer.model_dump_json(),
        order.currency,
        order.fulfilment,
        order.address,
        order.lines_json(),
    )
    return Accepted(id=order_id, status="placed")


if __name__ == "__main__":
    # As our own services are served: uvloop and httptools, no access log.
    uvicorn.run(app, port=Settings().port, loop="uvloop", http="httptools", log_level="warning", access_log=False)
