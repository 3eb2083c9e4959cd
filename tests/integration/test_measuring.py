"""What a process measures: from events to their effects, how far it is behind, and which trace a measurement is of."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser

from backbone.consuming.consumer import Consumer
from backbone.consuming.handlers import Handlers
from backbone.consuming.lag import LagWatch
from backbone.consuming.shadow import STANDSTILL, _MuteTx
from backbone.events.payload import Cause, Event, every_event_of
from backbone.observing import telemetry
from backbone.publishing.relay import Relay
from backbone.storage.database import Tx
from backbone.values.tracecontext import begin
from services.ledger.service import SERVICE as LEDGER
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.test_orders import body, confirmed, fact, placed
from tests.integration.things import Things, running
from tests.unit.test_observability import SELECTOR, expressions
from tests.waiting import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}


@pytest.fixture
async def orders(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


def measured(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def families(text: str) -> Sequence[Metric]:
    """The metrics of an answer, read strictly."""
    return list(cast(Any, parser).text_string_to_metric_families(text))


def exemplars(text: str) -> Mapping[str, list[str]]:
    """The traces that the histograms of an answer name, by metric."""
    found: dict[str, list[str]] = {}
    for family in families(text):
        for sample in family.samples:
            if sample.exemplar:
                found.setdefault(family.name, []).append(sample.exemplar.labels["trace_id"])
    return found


async def test_who_asks_for_openmetrics_is_told_all_in_one_document_and_of_traces(orders: Fed) -> None:
    await orders.client.post("/orders", json=body(), headers={"traceparent": TRACEPARENT})
    answer = await orders.client.get("/metrics", headers=OPENMETRICS)
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("\n# EOF\n")
    names = {family.name for family in families(answer.text)}
    assert {"sliceline_pathway_seconds", "sliceline_dead_letters_oldest_seconds", "process_cpu_seconds"} <= names
    assert TRACE in exemplars(answer.text)["sliceline_http_request_seconds"]


@pytest.mark.parametrize("accept", ["*/*", "text/plain;version=0.0.4", "application/json, text/html"])
async def test_anybody_else_is_told_the_same_in_plain_text_without_traces(orders: Fed, accept: str) -> None:
    await orders.client.post("/orders", json=body(), headers={"traceparent": TRACEPARENT})
    answer = await orders.client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("text/plain")
    assert "sliceline_dead_letters 0.0" in answer.text
    assert "trace_id" not in answer.text
    assert "# EOF" not in answer.text


@pytest.mark.parametrize("way", [{}, {"Content-Encoding": "identity"}], ids=["express", "ordinary"])
async def test_a_request_that_is_timed_names_its_trace_on_both_ways_in(
    orders: Fed, way: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "_recording", False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    known = str(begin())
    headers = {"traceparent": known, **way}
    assert (await orders.client.post("/orders", json=body(), headers=headers)).status_code == 202
    text = (await orders.client.get("/metrics", headers=OPENMETRICS)).text
    assert known.split("-")[1] in exemplars(text)["sliceline_http_request_seconds"]


async def test_an_order_that_is_confirmed_is_measured_once_from_its_acceptance(orders: Fed) -> None:
    name = "sliceline_orders_confirmed_seconds"
    before, spent = measured(f"{name}_count", backordered="no"), measured(f"{name}_sum", backordered="no")
    order = await confirmed(orders)
    await orders.feed(fact("kitchen.pizza-prepared", order))
    assert measured(f"{name}_count", backordered="no") == before + 1
    assert 0 < measured(f"{name}_sum", backordered="no") - spent < 60


async def test_an_order_that_waited_for_stock_is_measured_apart(orders: Fed) -> None:
    before = measured("sliceline_orders_confirmed_seconds_count", backordered="yes")
    order = await placed(orders)
    await orders.feed(
        fact("inventory.stock-backordered", order, short=[{"sku": "dough", "quantity": 2, "available": 1}])
    )
    await orders.feed(fact("inventory.stock-reserved", order), fact("payments.payment-received", order))
    assert measured("sliceline_orders_confirmed_seconds_count", backordered="yes") == before + 1


async def test_an_order_that_is_not_confirmed_is_told_by_how_long_it_waits(orders: Fed) -> None:
    async def told() -> float:
        text = (await orders.client.get("/metrics")).text
        [line] = [each for each in text.splitlines() if each.startswith("sliceline_orders_unconfirmed_oldest_seconds{")]
        assert 'status="placed"' in line
        return float(line.rpartition(" ")[2])

    assert await told() == 0
    order = await placed(orders)
    await orders.database.fetch("UPDATE orders SET stepped_at = now() - interval '10 minutes'")
    assert await told() == pytest.approx(600, abs=60)
    await orders.feed(fact("inventory.stock-reserved", order), fact("payments.payment-received", order))
    assert await told() == 0


async def test_what_is_rolled_back_is_not_measured(thing: Things) -> None:
    seen: list[str] = []
    with suppress(ZeroDivisionError):
        async with thing.database.transaction() as tx:
            tx.measure(lambda: seen.append("rolled back"))
            raise ZeroDivisionError
    async with thing.database.transaction() as tx:
        tx.measure(lambda: seen.append("committed"))
        assert seen == []
        shadow = _MuteTx(tx.connection, tx.raw, tx.service, tx.cause, STANDSTILL)
        shadow.measure(lambda: seen.append("a shadow"))
        shadow.committed()
    assert seen == ["committed"]


async def test_the_pathway_is_measured_by_consumer_and_type_and_names_a_trace(thing: Things) -> None:
    async with running(
        Relay(thing.database, thing.kafka, poll=0.05),
        Consumer(thing.name, thing.service(thing.note).handlers, thing.database, thing.kafka),
    ):
        async with thing.database.transaction(Cause("a story", None, TRACEPARENT)) as tx:
            tx.publish(thing.happened(1), key="a")
        await eventually(lambda: has_effects(thing, 1))
    labels = {"consumer": thing.name, "type": thing.payload.TYPE}
    assert measured("sliceline_pathway_seconds_count", **labels) == 1
    named = [
        sample.exemplar.labels["trace_id"]
        for family in REGISTRY.collect()
        for sample in family.samples
        if family.name == "sliceline_pathway_seconds" and sample.exemplar and labels.items() <= sample.labels.items()
    ]
    assert named == [TRACE]


async def test_who_takes_every_type_alike_has_one_series_whatever_is_published(thing: Things) -> None:
    handlers: Handlers = {every_event_of(thing.topic): note_unread}
    async with running(
        Relay(thing.database, thing.kafka, poll=0.05), Consumer(thing.name, handlers, thing.database, thing.kafka)
    ):
        await thing.publish("a", 1)
        await eventually(lambda: has_effects(thing, 1))
    assert measured("sliceline_pathway_seconds_count", consumer=thing.name, type="any") == 1
    assert measured("sliceline_pathway_seconds_count", consumer=thing.name, type=thing.payload.TYPE) == 0


async def note_unread(event: Event[Any], tx: Tx) -> None:
    await tx.raw.execute("INSERT INTO effects VALUES ($1, 1)", event.key)


async def has_effects(thing: Things, count: int) -> bool:
    return len(await thing.effects()) == count


async def test_a_consumer_that_is_behind_tells_for_how_long_and_no_more_when_it_has_caught_up(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LagWatch, "EVERY", timedelta(seconds=0.2))
    labels = {"consumer": thing.name, "topic": thing.topic}
    await thing.publish("a", 1)
    async with running(
        Relay(thing.database, thing.kafka, poll=0.05),
        Consumer(thing.name, thing.service(thing.note).handlers, thing.database, thing.kafka),
    ):
        await eventually(lambda: has_effects(thing, 1))
        await eventually(lambda: told(labels) == 0.0)
        async with thing.database.transaction() as tx:
            await tx.raw.execute(
                "UPDATE consumer_offsets SET next_offset = next_offset WHERE consumer = $1", thing.name
            )
            await thing.publish("a", 2)  # its batch waits for the row that is locked here
            await eventually(lambda: (told(labels) or 0) > 1.0)
        await eventually(lambda: has_effects(thing, 2))
        await eventually(lambda: told(labels) == 0.0)


async def test_nobody_is_behind_a_topic_that_there_is_not(thing: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LagWatch, "EVERY", timedelta(seconds=0.2))
    labels = {"consumer": thing.name, "topic": thing.topic}
    async with running(Consumer(thing.name, thing.service(thing.note).handlers, thing.database, thing.kafka)):
        await eventually(lambda: told(labels) == 0.0)
        admin = AIOKafkaAdminClient(**thing.kafka.client())
        await admin.start()
        await admin.delete_topics([thing.topic])
        await admin.close()
        await eventually(lambda: told(labels) is None)


def told(labels: dict[str, str]) -> float | None:
    return REGISTRY.get_sample_value("sliceline_consumer_lag_seconds", labels)


async def test_every_series_that_alarms_and_dashboards_ask_for_is_served_by_a_process(
    new_database: NewDatabase,
) -> None:
    served = {"up"}  # Prometheus's own
    for service in (SERVICE, LEDGER):
        async with fed(service, new_database) as process:
            lines = (await process.client.get("/metrics")).text.splitlines()
        for _, _, name, kind in (line.split(" ") for line in lines if line.startswith("# TYPE ")):
            served |= {f"{name}_{part}" for part in ("bucket", "count")} if kind == "histogram" else {name}
    asked = {name for expr in expressions() for name, _ in SELECTOR.findall(expr)}
    assert len(asked) > 20
    assert asked <= served
