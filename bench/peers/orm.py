"""Is the usual way with an outbox: the SQLAlchemy ORM, order and outbox row in one transaction of an AsyncSession."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import uvicorn
from fastapi import Depends, FastAPI, Request
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.peers.bare import Accepted, NewOrder, Settings


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    customer: Mapped[dict[str, Any]] = mapped_column(JSONB)
    currency: Mapped[str]
    fulfilment: Mapped[str]
    address: Mapped[str | None]
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    placed_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Outbox(Base):
    __tablename__ = "outbox"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    aggregatetype: Mapped[str]
    aggregateid: Mapped[str]
    type: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    url = Settings().database_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url, pool_size=10, max_overflow=0)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    yield
    await engine.dispose()


app = FastAPI(title="Shop with an ORM", lifespan=lifespan)


async def session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as found:
        yield found


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/orders", status_code=202)
async def place_order(body: NewOrder, db: Annotated[AsyncSession, Depends(session)]) -> Accepted:
    order = Order(id=uuid4(), **body.model_dump(mode="json"))
    event = Outbox(
        aggregatetype="orders",
        aggregateid=str(order.id),
        type="order-placed",
        payload={"order": str(order.id), **body.model_dump(mode="json")},
    )
    async with db.begin():
        db.add_all([order, event])
    return Accepted(id=order.id, status="placed")


if __name__ == "__main__":
    uvicorn.run(app, port=Settings().port, loop="uvloop", http="httptools", log_level="warning", access_log=False)
