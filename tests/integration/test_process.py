"""A process of a service as the system around it sees it: its environment, signals, health, logs and exit codes."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from backbone.events.envelope import Envelope, to_record
from backbone.ids import new_id
from backbone.values.brokers import Brokers
from local import ROOT
from tests.conftest import NewDatabase
from tests.integration.service_process import NOWHERE, ServiceProcess, process_of
from tests.issuing import BELIEVED
from tests.roads import Road
from tests.throwaway import ThrowAway, throwaway
from tests.waiting import eventually

__all__ = ["throwaway"]

LOYALTY = "services.loyalty.service"
ORDERS = "services.orders.service"
BLOCKING = "tests.integration.blocking_service"
EMAIL = "ada.secret@example.com"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
ORDER = {
    "customer": {"id": "ada", "name": "Ada Secret", "email": EMAIL},
    "currency": "GBP",
    "fulfilment": "collection",
    "lines": [{"item": "margherita", "quantity": 2}],
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "service.log"


@pytest.fixture
async def database_url(new_database: NewDatabase) -> str:
    return await asyncio.to_thread(new_database, "loyalty")


@pytest.fixture
async def orders_url(new_database: NewDatabase) -> str:
    return await asyncio.to_thread(new_database, "orders")


def exits(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and stderr of a process that ends by itself."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLICELINE_")}
    done = subprocess.run(
        [sys.executable, "-m", LOYALTY, *arguments],
        env={**clean, "SLICELINE_ISSUER": BELIEVED, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stderr


def test_without_its_environment_it_ends_at_once_and_names_what_is_missing() -> None:
    code, said = exits()
    assert code == 2
    assert "SLICELINE_DATABASE_URL is required" in said
    assert "Traceback" not in said


def test_an_unknown_role_is_refused_with_those_there_are() -> None:
    code, said = exits("--roles", "api,chef", SLICELINE_DATABASE_URL="postgresql://nowhere")
    assert code == 2
    assert "SLICELINE_ROLES" in said
    assert "chef" in said
    assert "api, relay, consumers, jobs" in said


def test_a_process_does_not_start_with_a_type_that_no_schema_describes(throwaway: ThrowAway) -> None:
    throwaway.write(ReadIt="sliceline.orders.order-confirmd.v2", SaidIt="sliceline.{name}.regretted.v1")
    code, said = throwaway.start()
    assert code == 2
    read, published = said.splitlines()
    assert read.endswith("Did you mean sliceline.orders.order-confirmed.v2?")
    assert published.startswith(
        f"{throwaway.name} publishes sliceline.{throwaway.name}.regretted.v1 (SaidIt), which no"
    )


def test_a_process_does_not_start_with_a_view_that_its_contract_does_not_promise(throwaway: ThrowAway) -> None:
    throwaway.write(ReadIt="sliceline.orders.order-cancelled.v1\nwhen: str")
    assert throwaway.start() == (
        2,
        f"{throwaway.name} needs when in orders.order-cancelled.v1; the schema has no such field\n",
    )


def test_a_process_does_not_start_with_a_schema_that_is_none(throwaway: ThrowAway) -> None:
    (throwaway.schemas / "orders" / "order-cancelled.v1.json").write_text("{")
    throwaway.write(ReadIt="sliceline.orders.order-cancelled.v1")
    code, said = throwaway.start()
    assert code == 2
    assert "Its schema, schemas/orders/order-cancelled.v1.json, is broken: unexpected end of data" in said


@pytest.mark.parametrize(
    ("name", "value"), [("INBOX_DAYS", "1"), ("STUCK_AFTER_SECONDS", "inf"), ("KAFKA", "kafka"), ("DATABASE_URL", "x")]
)
def test_a_setting_that_cannot_be_is_refused_with_the_reason_in_one_line(name: str, value: str) -> None:
    code, said = exits(**{"SLICELINE_DATABASE_URL": "postgresql://nowhere", f"SLICELINE_{name}": value})
    assert code == 2
    assert said.startswith(f"{LOYALTY.split('.')[1]}: SLICELINE_{name} must be") or "is no host:port" in said
    assert len(said.splitlines()) == 1


async def test_a_taken_port_ends_it_with_its_name(log: Path, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with process_of(LOYALTY, log, "--roles", "api", database_url=database_url, port=str(port)) as loyalty:
            assert await loyalty.process.ended(30) not in (0, None)
            assert str(port) in loyalty.output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_all_parts_in_good_order(
    number: signal.Signals, log: Path, database_url: str, kafka: Brokers, orders_topic: None
) -> None:
    async with process_of(LOYALTY, log, database_url=database_url, kafka=kafka) as loyalty:
        await loyalty.until_waiting_for()
        loyalty.process.signal(number)
        assert await loyalty.process.ended(10) == 0
        assert (await loyalty.logged("process-stopped"))["cut_off"] == []


async def test_a_signal_is_heard_also_while_nothing_answers(log: Path) -> None:
    nowhere = f"postgresql://loyalty@{NOWHERE}/loyalty"
    async with process_of(LOYALTY, log, database_url=nowhere, kafka=NOWHERE) as loyalty:
        await loyalty.until_waiting_for("relay", "consumer", "jobs redrive", "database", "audit")
        assert await loyalty.stop() == 0


async def test_a_collector_that_is_away_does_not_hold_up_the_end(log: Path, database_url: str) -> None:
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{NOWHERE}"}
    async with process_of(LOYALTY, log, "--roles", "api", database_url=database_url, **collector) as loyalty:
        await loyalty.until_waiting_for()
        assert (await loyalty.client.get("/customers/ada/points")).status_code == 200
        assert await loyalty.stop(within=5) == 0


async def test_the_api_alone_needs_no_kafka_and_relays_nothing(log: Path, orders_url: str) -> None:
    async with process_of(ORDERS, log, "--roles", "api", database_url=orders_url, kafka=NOWHERE) as orders:
        await orders.until_waiting_for()
        assert (await orders.client.post("/orders", json=ORDER)).status_code == 202
        assert (await orders.logged("process-started"))["roles"] == "api"
        assert [line for line in orders.lines() if line.get("part")] == []


async def test_the_relay_alone_publishes_what_another_process_accepted_and_has_no_api(
    log: Path, tmp_path: Path, orders_url: str, kafka: Brokers, orders_topic: None
) -> None:
    async with process_of(ORDERS, log, "--roles", "api", database_url=orders_url, kafka=NOWHERE) as api:
        await api.until_waiting_for()
        assert (await api.client.post("/orders", json=ORDER)).status_code == 202
    relay_log = tmp_path / "relay.log"
    async with process_of(ORDERS, relay_log, "--roles", "relay", database_url=orders_url, kafka=kafka) as relay:
        await relay.until_waiting_for()
        await eventually(lambda: has_relayed(relay, 2))  # the order, and that staff has placed one
        assert (await relay.client.post("/orders", json=ORDER)).status_code == 404
        assert (await relay.client.get("/dead-letters")).status_code == 200


async def has_relayed(process: ServiceProcess, count: int) -> bool:
    return f"sliceline_relayed_events_total {count:.1f}" in (await process.client.get("/metrics")).text


async def test_readiness_tells_what_is_away_and_recovers(
    log: Path, database_url: str, kafka: Brokers, orders_topic: None
) -> None:
    base, name = database_url.rsplit("/", 1)
    credentials, server = base.rsplit("@", 1)
    async with (
        Road(kafka.bootstrap) as to_kafka,
        Road(server) as to_postgres,
        process_of(
            LOYALTY,
            log,
            database_url=f"{credentials}@{to_postgres.address}/{name}",
            kafka=replace(kafka, bootstrap=to_kafka.address),
        ) as loyalty,
    ):
        await loyalty.until_waiting_for("relay", "consumer", "jobs redrive", "database", "audit")
        await to_postgres.open()
        await loyalty.until_waiting_for("relay", "consumer")
        assert "Kafka" in str((await loyalty.waiting_for() or {})["relay"])
        await to_kafka.open()
        await loyalty.until_waiting_for()
        await to_postgres.close()
        await loyalty.until_missing("relay", "database")
        assert (await loyalty.client.get("/health/live")).status_code == 200
        assert (await loyalty.client.get("/customers/ada/points")).status_code == 503
        await to_postgres.open()
        await loyalty.until_waiting_for()
        assert await loyalty.stop() == 0


async def test_a_blocked_event_loop_is_ended_by_the_watchdog(log: Path, database_url: str) -> None:
    settings = {"database_url": database_url, "stuck_after_seconds": "2"}
    async with process_of(BLOCKING, log, "--roles", "api", **settings) as blocking:
        await blocking.until_waiting_for()
        blocked = asyncio.create_task(blocking.client.post("/block"))
        assert await blocking.process.ended(15) == 70
        assert "event loop makes no progress" in blocking.output()
        await asyncio.gather(blocked, return_exceptions=True)


async def test_a_process_that_was_frozen_and_thawed_goes_on(log: Path, database_url: str) -> None:
    settings = {"database_url": database_url, "stuck_after_seconds": "2"}
    async with process_of(LOYALTY, log, "--roles", "api", **settings) as loyalty:
        await loyalty.until_waiting_for()
        loyalty.process.freeze()
        with pytest.raises(subprocess.TimeoutExpired):
            await loyalty.process.ended(4)
        loyalty.process.thaw()
        await loyalty.until_waiting_for()
        assert await loyalty.stop() == 0


def completed(order: str, customer: str) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    data = {"order": order, "customer_id": customer, "total": {"amount": 1200, "currency": "GBP"}}
    return to_record(
        Envelope(
            id=f"event-{order}",
            type="sliceline.orders.order-completed.v1",
            source="/sliceline/orders",
            subject=order,
            time="2026-11-01T18:30:00.000000Z",
            dataschema="https://sliceline.invalid/schemas",
            partitionkey=order,
            correlationid=new_id(),
            occurrenceid=new_id(),
            sequence=1,
            traceparent=TRACEPARENT,
            data=msgspec.json.encode(data),
        )
    )


async def test_logs_are_json_lines_with_the_trace_and_the_event_and_without_customers(
    log: Path, database_url: str, kafka: Brokers, orders_topic: None
) -> None:
    order = new_id()
    async with process_of(LOYALTY, log, database_url=database_url, kafka=kafka) as loyalty:
        await loyalty.until_waiting_for()
        # Postgres refuses NUL, so no handler can swallow this one.
        await send(kafka, "orders.events", completed(order, f"{EMAIL}\x00"))
        parked = await loyalty.logged("event-parked", key=order)  # the topic holds what other tests sent
        shown = await loyalty.client.get("/dead-letters")
        lines, output = loyalty.lines(), loyalty.output()
    assert parked["service"] == "loyalty"
    assert (parked["event_id"], parked["trace_id"]) == (f"event-{order}", TRACE)
    assert parked["exception"][0]["exc_type"] == "CharacterNotInRepertoireError"
    assert all({"service", "event", "level", "timestamp"} <= set(line) for line in lines)
    assert EMAIL not in output
    assert EMAIL not in shown.text


async def send(kafka: Brokers, topic: str, record: tuple[bytes, bytes, list[tuple[str, bytes]]]) -> None:
    producer = AIOKafkaProducer(**kafka.client())
    await producer.start()
    try:
        key, value, headers = record
        await producer.send_and_wait(topic, key=key, value=value, headers=headers)
    finally:
        await producer.stop()


async def test_a_failed_request_is_logged_with_its_trace_and_without_the_customer(log: Path) -> None:
    nowhere = f"postgresql://orders@{NOWHERE}/orders"
    async with process_of(ORDERS, log, "--roles", "api", database_url=nowhere) as orders:
        await orders.until_waiting_for("database")
        answer = await orders.client.post("/orders", json=ORDER, headers={"traceparent": TRACEPARENT})
        assert answer.status_code == 503
        failed = await orders.logged("request-failed")
        assert failed["trace_id"] == TRACE
        assert failed["correlationid"] == answer.headers["x-correlation-id"]
        assert EMAIL not in orders.output()


async def test_an_event_stream_ends_when_the_process_stops(log: Path, orders_url: str) -> None:
    async with process_of(ORDERS, log, "--roles", "api", database_url=orders_url) as orders:
        await orders.until_waiting_for()
        placed = await orders.client.post("/orders", json=ORDER)
        async with following(orders, placed.headers["location"]) as chunks:
            assert "placed" in await anext(chunks)
            assert await orders.stop() == 0
            assert [chunk async for chunk in chunks if "placed" in chunk] == []


@contextlib.asynccontextmanager
async def following(orders: ServiceProcess, location: str) -> AsyncIterator[Any]:
    async with orders.client.stream("GET", f"{location}/stream") as stream:
        yield stream.aiter_text()
