"""One trace from the HTTP request through outbox, topic, handlers and jobs, as OpenTelemetry's conventions have it."""

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from backbone.application import create_application
from backbone.consuming.consumer import Consumer
from backbone.context import Context
from backbone.events.payload import Event
from backbone.http import Answer, Command
from backbone.http.permissions import open_to_all
from backbone.jobs.work import Done, Job, Work
from backbone.jobs.worker import Worker
from backbone.publishing.relay import Relay
from backbone.running.retry import RetryPolicy
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage.database import Tx
from backbone.values.brokers import Brokers
from tests.canaries import Canaries
from tests.conftest import NewDatabase
from tests.integration.service_process import process_of
from tests.integration.things import Things, running
from tests.issuing import SOMEBODY, by
from tests.waiting import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


@pytest.fixture
async def spans(exporter: InMemorySpanExporter, thing: Things) -> Sequence[ReadableSpan]:
    """What a request, its event, the job that this asks for and the job's own event leave behind."""
    exporter.clear()
    service = busy_service(thing)
    context = Context(Settings(database_url="postgresql://unused"), thing.database)
    parts = (
        Relay(thing.database, thing.kafka, poll=0.05),
        Consumer(thing.name, service.handlers, thing.database, thing.kafka),
        Worker("bake", service.jobs["bake"], context),
    )
    transport = httpx.ASGITransport(create_application(service, context))
    async with (
        running(*parts),
        httpx.AsyncClient(transport=transport, base_url="http://service", headers=by(SOMEBODY)) as client,
    ):
        assert (await client.post("/things", headers=TRACEPARENT)).status_code == 202
        await eventually(lambda: has_effect(thing))
    return exporter.get_finished_spans()


async def has_effect(thing: Things) -> bool:
    return bool(await thing.effects())


def busy_service(thing: Things) -> Service[Settings]:
    """POST → event 1 → job → event 2 → an effect."""
    router = APIRouter()

    @router.post("/things")
    @open_to_all("It is a test's.")
    async def begin(command: Command) -> Response:
        async def effect(tx: Tx) -> Answer:
            tx.publish(thing.happened(1), key="a")
            return Answer({}, 202)

        return await command.run(effect)

    async def handle(event: Event[Any], tx: Tx) -> None:
        if event.data.number == 1:
            tx.schedule("bake", event.key)
        else:
            await thing.note(event, tx)

    async def bake(_job: Job, _context: Context[Settings]) -> str:
        return "baked"

    async def settle(done: Sequence[Done], tx: Tx) -> None:
        for each in done:
            tx.publish(thing.happened(2), key="a", cause=each.cause)

    work = Work(bake, settle, RetryPolicy(first=timedelta(milliseconds=50)))
    return Service(thing.name, Settings, router, handlers={thing.payload: handle}, jobs={"bake": work})


def one(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    [found] = named(spans, name)
    return found


def named(spans: Sequence[ReadableSpan], name: str) -> list[ReadableSpan]:
    return sorted((span for span in spans if span.name == name), key=lambda span: span.start_time or 0)


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


async def test_one_trace_leads_from_the_request_to_the_last_effect(
    spans: Sequence[ReadableSpan], thing: Things
) -> None:
    request = one(spans, "POST /things")
    job = one(spans, "job bake")
    creates = named(spans, f"create {thing.topic}")
    processes = named(spans, f"process {thing.topic}")
    chain = [request, creates[0], processes[0], job, creates[1], processes[1]]
    assert [parent_of(span) for span in chain[1:]] == [id_of(span) for span in chain[:-1]]
    assert {f"{span.context.trace_id:032x}" for span in chain if span.context} == {TRACE}
    assert [span.kind for span in chain] == [
        SpanKind.SERVER,
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
        SpanKind.INTERNAL,
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
    ]


async def test_a_send_is_linked_to_what_it_carries(spans: Sequence[ReadableSpan], thing: Things) -> None:
    sends = named(spans, f"send {thing.topic}")
    carried = [link.context.span_id for send in sends for link in send.links]
    assert carried == [id_of(create) for create in named(spans, f"create {thing.topic}")]
    assert {send.kind for send in sends} == {SpanKind.CLIENT}
    assert [(send.attributes or {})["messaging.batch.message_count"] for send in sends] == [1, 1]


@pytest.mark.parametrize("operation", ["create", "send", "process"])
async def test_messaging_spans_say_what_the_conventions_ask(
    operation: str, spans: Sequence[ReadableSpan], thing: Things
) -> None:
    for span in named(spans, f"{operation} {thing.topic}"):
        about = dict(span.attributes or {})
        assert about["messaging.system"] == "kafka"
        assert about["messaging.destination.name"] == thing.topic
        assert about["messaging.operation.name"] == about["messaging.operation.type"] == operation
        if operation != "send":
            assert about["messaging.kafka.message.key"] == "a"
            assert about["messaging.message.conversation_id"]
        if operation == "process":
            assert about["messaging.consumer.group.name"] == thing.name
            assert about["messaging.message.id"] == about["cloudevents.event_id"]
            assert about["cloudevents.event_type"] == thing.payload.TYPE


async def test_a_failure_is_told_by_its_span(exporter: InMemorySpanExporter, thing: Things) -> None:
    async def refuse(event: Event[Any], tx: Tx) -> None:
        raise ZeroDivisionError

    exporter.clear()
    await thing.publish("a", 1)
    async with running(
        Relay(thing.database, thing.kafka, poll=0.05),
        Consumer(thing.name, thing.service(refuse).handlers, thing.database, thing.kafka),
    ):
        await eventually(lambda: is_parked(thing))
    spans = named(exporter.get_finished_spans(), f"process {thing.topic}")
    assert len(spans) == 2  # once more on a new connection, before it was parked
    for span in spans:
        assert not span.status.is_ok
        assert (span.attributes or {})["error.type"] == "ZeroDivisionError"


async def is_parked(thing: Things) -> bool:
    async with thing.database.transaction() as tx:
        return bool(await tx.raw.fetchval("SELECT count(*) FROM dead_letters"))


Received = list[ExportTraceServiceRequest]


@contextmanager
def collector() -> Iterator[tuple[str, Received]]:
    """An OTLP/HTTP receiver: its address, and what it got."""
    received: Received = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


async def test_a_process_exports_its_spans_to_the_endpoint_it_is_told_and_nothing_of_a_customer_or_a_secret(
    tmp_path: Path, new_database: NewDatabase, kafka: Brokers, orders_topic: None
) -> None:
    url = await asyncio.to_thread(new_database, "orders")
    canaries = Canaries()
    order = {
        "customer": canaries.person,
        "currency": "GBP",
        "fulfilment": "delivery",
        "address": canaries.address,
        "lines": [{"item": "margherita", "quantity": 2}],
    }
    secret = {"Idempotency-Key": canaries.word, "Cookie": canaries.word}
    with collector() as (endpoint, received):
        settings = {"database_url": url, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        roles = ("--roles", "api,relay")
        async with process_of(
            "services.orders.service", tmp_path / "orders.log", *roles, kafka=kafka, **settings
        ) as orders:
            await orders.until_waiting_for()
            assert (await orders.client.post("/orders", json=order, headers=secret)).status_code == 202
            wrong = {**order, "fulfilment": canaries.address}
            assert (await orders.client.post("/orders", json=wrong, headers=secret)).status_code == 422
            await orders.client.get("/orders", headers={"Authorization": f"Bearer {canaries.word}"})
            await eventually(lambda: relayed(orders.client))
            assert await orders.stop() == 0
    told = [each for request in received for each in request.resource_spans]
    assert {each.resource.attributes[0].value.string_value for each in told} == {"sliceline-orders"}
    names = {span.name for each in told for scope in each.scope_spans for span in scope.spans}
    assert {"POST /orders", "create orders.events", "send orders.events"} <= names
    assert not [name for name in names if "health" in name]
    assert not [request for request in received if canaries.are_in(request.SerializeToString())]


async def relayed(client: httpx.AsyncClient) -> bool:
    counted = re.search(r"^sliceline_relayed_events_total (\S+)", (await client.get("/metrics")).text, re.MULTILINE)
    return counted is not None and float(counted[1]) >= 1  # refusals, of which events tell too, may be among the first
