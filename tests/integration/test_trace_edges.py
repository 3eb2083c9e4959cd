"""Each edge over which a trace goes on, by itself; `test_telemetry.py` has the straight way over most of them."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Response
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from backbone.application import create_application
from backbone.consuming.consumer import Consumer
from backbone.consuming.handlers import BatchHandler, Handler
from backbone.consuming.redrive import redrive
from backbone.context import Context
from backbone.events.payload import Cause, Event
from backbone.http import Answer, Command
from backbone.http.permissions import open_to_all
from backbone.identity.own_token import OwnToken
from backbone.jobs.work import Done, Job, Work
from backbone.jobs.worker import Worker
from backbone.observing import telemetry
from backbone.publishing.relay import Relay
from backbone.running.retry import RetryPolicy
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage.database import Tx
from backbone.values.brokers import Brokers
from backbone.values.tracecontext import Traceparent, begin
from services.carts.orders import Orders
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import fed
from tests.integration.receivers import listening
from tests.integration.service_process import process_of
from tests.integration.test_orders import body
from tests.integration.test_telemetry import collector, id_of, is_parked, named, one, parent_of
from tests.integration.things import Things, running
from tests.issuing import SOMEBODY, by
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def cleared(exporter: InMemorySpanExporter) -> None:
    exporter.clear()


def sampled() -> Traceparent:
    """A client's trace, which is recorded."""
    return begin()._replace(is_sampled=True)


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


async def has_read_all(client: httpx.AsyncClient) -> bool:
    return 'sliceline_consumer_lag{topic="orders.events"} 0.0' in (await client.get("/metrics")).text


async def publish(thing: Things, number: int, trace: Traceparent) -> None:
    async with thing.database.transaction(Cause("a story", None, str(trace))) as tx:
        tx.publish(thing.happened(number), key="a")


async def handled(thing: Things, handler: Handler, effects: int) -> None:
    """What was published is relayed and handled, until there are so many effects."""

    async def are_there() -> bool:
        return len(await thing.effects()) == effects

    async with running(
        Relay(thing.database, thing.kafka, poll=0.05),
        Consumer(thing.name, thing.service(handler).handlers, thing.database, thing.kafka),
    ):
        await eventually(are_there)


async def test_an_order_on_the_express_lane_is_a_span_of_its_clients_trace_and_its_events_are_below_it(
    exporter: InMemorySpanExporter, new_database: NewDatabase
) -> None:
    client = sampled()
    async with fed(SERVICE, new_database) as shop:
        answer = await shop.client.post("/orders", json=body(), headers={"traceparent": str(client)})
        assert answer.status_code == 202
    spans = exporter.get_finished_spans()
    request, create = one(spans, "POST /orders"), one(spans, "create orders.events")
    assert (request.kind, create.kind) == (SpanKind.SERVER, SpanKind.PRODUCER)
    assert (parent_of(request), parent_of(create)) == (client.span_id, id_of(request))
    assert trace_of(request) == trace_of(create) == client.trace_id


async def test_a_job_that_a_request_asks_for_is_below_it_and_so_is_each_attempt(
    exporter: InMemorySpanExporter, thing: Things
) -> None:
    router, attempts, client = APIRouter(), list[int](), sampled()

    @router.post("/things")
    @open_to_all("It is a test's.")
    async def ask(command: Command) -> Response:
        async def effect(tx: Tx) -> Answer:
            tx.schedule("bake", "a")
            return Answer({}, 202)

        return await command.run(effect)

    async def bake(job: Job, _context: Context[Settings]) -> str:
        attempts.append(job.attempt)
        if job.attempt == 1:
            raise ConnectionRefusedError
        return "baked"

    async def settle(done: Sequence[Done], tx: Tx) -> None:
        await tx.raw.execute("INSERT INTO effects VALUES ('a', 1)")

    work = Work(bake, settle, RetryPolicy(first=timedelta(milliseconds=50)))
    service = Service(thing.name, Settings, router, jobs={"bake": work})
    context = Context(Settings(database_url="postgresql://unused"), thing.database)
    transport = httpx.ASGITransport(create_application(service, context))
    async with (
        running(Worker("bake", work, context)),
        httpx.AsyncClient(transport=transport, base_url="http://service", headers=by(SOMEBODY)) as http,
    ):
        assert (await http.post("/things", headers={"traceparent": str(client)})).status_code == 202
        await eventually(thing.effects)
    spans = exporter.get_finished_spans()
    request, jobs = one(spans, "POST /things"), named(spans, "job bake")
    assert attempts == [1, 2]
    assert [parent_of(job) for job in jobs] == [id_of(request)] * 2
    assert {trace_of(job) for job in jobs} == {client.trace_id}
    assert [(job.attributes or {})["sliceline.attempt"] for job in jobs] == [1, 2]


async def test_a_set_of_events_is_linked_to_all_of_them_and_what_each_leads_to_stays_in_its_own_trace(
    exporter: InMemorySpanExporter, thing: Things
) -> None:
    traces = [sampled(), sampled()]

    async def in_sets(events: Sequence[Event[Any]], tx: Tx) -> None:
        for event in events:
            await thing.note(event, tx)
            if event.data.number < 10:
                tx.publish(thing.happened(event.data.number + 10), key="b", cause=event.cause)

    for number, trace in enumerate(traces):
        await publish(thing, number, trace)
    await handled(thing, BatchHandler(in_sets), 4)
    spans = exporter.get_finished_spans()
    creates = named(spans, f"create {thing.topic}")
    assert [trace_of(create) for create in creates] == [each.trace_id for each in traces] * 2
    assert [parent_of(create) for create in creates[2:]] == [id_of(create) for create in creates[:2]]
    together = named(spans, f"process {thing.topic}")[0]
    assert {link.context.trace_id for link in together.links} == {each.trace_id for each in traces}
    assert parent_of(together) is None


async def test_an_event_that_is_a_set_by_itself_is_handled_in_its_own_trace(
    exporter: InMemorySpanExporter, thing: Things
) -> None:
    trace = sampled()

    async def in_sets(events: Sequence[Event[Any]], tx: Tx) -> None:
        for event in events:
            await thing.note(event, tx)

    await publish(thing, 1, trace)
    await handled(thing, BatchHandler(in_sets), 1)
    spans = exporter.get_finished_spans()
    process = one(spans, f"process {thing.topic}")
    assert (trace_of(process), parent_of(process)) == (trace.trace_id, id_of(one(spans, f"create {thing.topic}")))
    assert not process.links


async def test_an_event_that_was_parked_is_handled_in_its_own_trace_when_it_is_redriven(
    exporter: InMemorySpanExporter, thing: Things
) -> None:
    trace = sampled()

    async def refuse(event: Event[Any], tx: Tx) -> None:
        raise ZeroDivisionError

    await publish(thing, 1, trace)
    async with running(
        Relay(thing.database, thing.kafka, poll=0.05),
        Consumer(thing.name, thing.service(refuse).handlers, thing.database, thing.kafka),
    ):
        await eventually(lambda: is_parked(thing))
    assert await redrive(thing.database, thing.name, thing.service(thing.note).handlers) == 1
    spans = exporter.get_finished_spans()
    create, processes = one(spans, f"create {thing.topic}"), named(spans, f"process {thing.topic}")
    assert {parent_of(process) for process in processes} == {id_of(create)}
    assert [process.status.is_ok for process in processes][-1]
    assert {trace_of(process) for process in processes} == {trace.trace_id}


async def test_a_call_of_another_service_says_under_which_step_it_is_made() -> None:
    settings = Settings(database_url="postgresql://unused")
    async with listening("127.0.0.1") as orders, httpx.AsyncClient() as http:
        orders.answer = (202, {"Content-Type": "application/json"}, b'{"id": "7"}')
        calling = Orders(http, f"http://127.0.0.1:{orders.port}", OwnToken("carts", settings, lambda: http))
        with telemetry.span("job checkout", SpanKind.INTERNAL, parent=str(sampled())) as step:
            await calling.place({}, "a key", "a story")
            known = telemetry.traceparent_of(step)
    assert orders.requests[0].headers["traceparent"] == known


async def test_one_trace_goes_through_the_processes_of_two_services_into_a_collector(
    tmp_path: Path, new_database: NewDatabase, kafka: Brokers, orders_topic: None
) -> None:
    client = sampled()
    with collector() as (endpoint, received):

        def told(service: str) -> dict[str, Span]:
            """By name, the spans of the trace that a service has sent so far."""
            return {
                span.name: span
                for request in received
                for each in request.resource_spans
                if each.resource.attributes[0].value.string_value == f"sliceline-{service}"
                for scope in each.scope_spans
                for span in scope.spans
                if span.trace_id == client.trace_id.to_bytes(16)
            }

        def settings(service: str) -> dict[str, Any]:
            return {"database_url": new_database(service), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}

        async with (
            process_of(
                "services.orders.service",
                tmp_path / "orders.log",
                "--roles",
                "api,relay",
                kafka=kafka,
                **await asyncio.to_thread(settings, "orders"),
            ) as orders,
            process_of(
                "services.inventory.service",
                tmp_path / "inventory.log",
                "--roles",
                "consumers",
                kafka=kafka,
                **await asyncio.to_thread(settings, "inventory"),
            ) as inventory,
        ):
            for each in (orders, inventory):
                await each.until_waiting_for()
            # Beside events that other tests have left in the topic it would be one of a set, in no trace alone.
            await eventually(lambda: has_read_all(inventory.client), what="inventory has read what was there")
            answer = await orders.client.post("/orders", json=body(), headers={"traceparent": str(client)})
            assert answer.status_code == 202
            await eventually(lambda: "process orders.events" in told("inventory"))
            await eventually(lambda: "create orders.events" in told("orders"))
    request, create = told("orders")["POST /orders"], told("orders")["create orders.events"]
    process, answered = told("inventory")["process orders.events"], told("inventory")["create inventory.events"]
    assert request.parent_span_id == client.span_id.to_bytes(8)
    assert (create.parent_span_id, process.parent_span_id) == (request.span_id, create.span_id)
    assert answered.parent_span_id == create.span_id
