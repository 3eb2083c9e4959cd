"""Buses on real servers: who may publish and read is held to, and topics are as buses.toml has them."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from backbone.consuming import pausing
from backbone.consuming.consumer import Consumer
from backbone.consuming.lag import LagWatch
from backbone.declared import objections
from backbone.events import buses
from backbone.events.buses import Bus, NotAllowed, UnknownBus
from backbone.events.payload import Payload, every_event_of
from backbone.publishing.relay import Relay
from backbone.service import Service
from backbone.storage.outbox import Apart
from backbone.values.brokers import Brokers
from deployment import migrate
from deployment.belonging import settle
from deployment.migrate import Repartitioned
from tests.integration.test_belonging import kept, url_of
from tests.integration.things import Things, create_topic, running
from tests.throwaway import ThrowAway, throwaway
from tests.waiting import eventually

__all__ = ["throwaway"]

CANCELLED = "sliceline.orders.order-cancelled.v1"
ACCOUNTING = 'BUS: ClassVar[str] = "accounting"'


@pytest.fixture
async def side(thing: Things, monkeypatch: pytest.MonkeyPatch) -> Bus:
    """A bus to which the thing may publish, with a topic in Kafka; nobody else reads it."""
    bus = Bus(
        name="side",
        topics=f"{thing.name}-side.events",
        partitions=2,
        retention_days=1,
        publish=(thing.name,),
        read=(thing.name,),
    )
    set_buses(monkeypatch, {"side": bus})
    await create_topic(thing.kafka, bus.topics, bus.partitions)
    return bus


def set_buses(monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Bus]) -> None:
    known = {**buses.known(), **more}
    monkeypatch.setattr(buses, "known", lambda: known)


async def publish(thing: Things, number: int, bus: str | None = None) -> None:
    async with thing.database.transaction() as tx:
        tx.publish(thing.happened(number), key="a", bus=bus)


def on_side(thing: Things) -> type[Payload]:
    """What the thing publishes, as it is read from the side bus."""

    class OnSide(thing.payload):  # type: ignore[name-defined,misc]
        BUS: ClassVar[str] = "side"

    return OnSide


async def test_events_of_two_buses_go_to_their_topics_each_counted_from_one(thing: Things, side: Bus) -> None:
    for number, bus in enumerate([None, "side", "side", None, "side"]):
        await publish(thing, number, bus)
    aside = replace(thing, name=f"{thing.name}-side")
    async with running(Relay(thing.database, thing.kafka)):
        own, other = await thing.published(2), await aside.published(3)
    assert [(each.sequence, each.data) for each in own] == [(1, b'{"number":0}'), (2, b'{"number":3}')]
    assert [(each.sequence, each.data) for each in other] == [
        (number, b'{"number":%d}' % said) for number, said in ((1, 1), (2, 2), (3, 4))
    ]
    assert {each.source for each in (*own, *other)} == {f"/sliceline/{thing.name}"}


async def test_who_reads_a_type_on_a_bus_gets_what_is_there_and_nothing_else(thing: Things, side: Bus) -> None:
    view = on_side(thing)
    await publish(thing, 1)
    await publish(thing, 2, "side")
    handlers = {view: thing.note, every_event_of(thing.topic): _pass_over}
    async with running(Relay(thing.database, thing.kafka), Consumer(thing.name, handlers, thing.database, thing.kafka)):

        async def both_are_read() -> bool:
            query = "SELECT count(*) FROM consumer_offsets WHERE consumer = $1 AND next_offset > 0"
            async with thing.database.transaction() as tx:
                return bool(await tx.raw.fetchval(query, thing.name) == 2)

        await eventually(both_are_read)
    assert await thing.effects() == [("a", 2)]


async def _pass_over(_event: Any, _tx: Any) -> None: ...


@pytest.fixture
def many(thing: Things, monkeypatch: pytest.MonkeyPatch) -> Bus:
    """A bus that stands for many, whose topics are found soon."""
    monkeypatch.setattr(LagWatch, "EVERY", timedelta(seconds=0.2))
    bus = Bus(
        name=f"{thing.name}.*",
        topics=f"{thing.name}.*.events",
        partitions=2,
        retention_days=3,
        publish=(thing.name,),
        read=(thing.name,),
    )
    set_buses(monkeypatch, {bus.name: bus})
    return bus


async def test_what_is_one_of_many_gets_its_topic_with_its_first_event_and_is_read_from_then_on(
    thing: Things, many: Bus
) -> None:
    seen: list[tuple[str, bytes]] = []

    async def note(event: Any, _tx: Any) -> None:
        seen.append((event.data.topic, event.data.text))

    consumer = Consumer(thing.name, {every_event_of(many.topics): note}, thing.database, thing.kafka)
    async with running(Relay(thing.database, thing.kafka), consumer):
        for number, name in enumerate(("one", "two", "one")):
            await publish(thing, number, f"{thing.name}.{name}")
            await eventually(lambda number=number: len(seen) > number)  # type: ignore[misc]
    one, two = f"{thing.name}.one.events", f"{thing.name}.two.events"
    assert seen == [(one, b'{"number":0}'), (two, b'{"number":1}'), (one, b'{"number":2}')]
    assert await _partitions(thing.kafka, one) == 2
    assert await _kept(thing.kafka, one, 3)


async def test_a_paused_key_waits_in_a_topic_too_that_is_made_after_the_pause(thing: Things, many: Bus) -> None:
    heard: list[bytes] = []

    async def note(event: Any, _tx: Any) -> None:
        heard.append(event.data.text)

    consumer = Consumer(thing.name, {every_event_of(many.topics): note}, thing.database, thing.kafka)
    async with running(Relay(thing.database, thing.kafka), consumer):
        await publish(thing, 0, f"{thing.name}.one")
        await eventually(lambda: len(heard) == 1)
        async with thing.database.transaction() as tx:
            await pausing.pause(tx, thing.name, [], pausing.Wanted(pausing.KEY, "a", "a look"), by="ann")
        await publish(thing, 1, f"{thing.name}.two")
        await eventually(lambda: _waits(thing))
    assert heard == [b'{"number":0}']


async def _waits(thing: Things) -> bool:
    letters = await thing.database.fetch("SELECT topic, error FROM dead_letters")
    return [tuple(each) for each in letters] == [(f"{thing.name}.two.events", None)]


@pytest.mark.parametrize(("bus", "error"), [("accounting", NotAllowed), ("nowhere", UnknownBus)])
async def test_nothing_is_published_to_a_bus_that_is_not_for_the_service(
    thing: Things, bus: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await publish(thing, 1, bus)
    async with thing.database.transaction() as tx:
        assert await tx.raw.fetchval("SELECT count(*) FROM outbox") == 0


async def test_versions_of_one_happening_are_on_one_bus(thing: Things, side: Bus) -> None:
    with pytest.raises(Apart):
        async with thing.database.transaction() as tx:
            tx.publish(thing.happened(1), on_side(thing)(number=1), key="a")


async def test_tables_that_were_lost_count_on_from_what_lies_on_each_bus(thing: Things, side: Bus) -> None:
    for bus in (None, "side", "side"):
        await publish(thing, 1, bus)
    aside = replace(thing, name=f"{thing.name}-side")
    async with running(Relay(thing.database, thing.kafka)):
        await asyncio.gather(thing.published(1), aside.published(2))
    async with thing.database.transaction() as tx:
        await tx.raw.execute("DELETE FROM sequences")
    found = await kept(thing)
    assert found is not None
    await settle(found, thing.kafka, {thing.name: url_of(thing)}, "read", print)
    async with thing.database.transaction() as tx:
        rows = await tx.raw.fetch("SELECT key, last FROM sequences")
    assert {row["key"]: row["last"] for row in rows} == {"a": 1, "side\na": 2}


@pytest.mark.parametrize(
    ("payloads", "said"),
    [
        (
            {"SaidIt": ACCOUNTING},
            "{name} may not: buses.toml lets router publish to accounting.",
        ),
        ({"SaidIt": ACCOUNTING.replace("ing", "in")}, "buses.toml has no bus accountin. Did you mean accounting?"),
        (
            {"ReadIt": ACCOUNTING},
            "{name} may not read accounting.events: buses.toml lets alerts",
        ),
        ({"ReadIt": ACCOUNTING.replace("ing", "in")}, "from the bus accountin. buses.toml has no bus accountin."),
    ],
)
def test_a_service_on_a_bus_that_is_not_for_it_is_objected_to(
    throwaway: ThrowAway, monkeypatch: pytest.MonkeyPatch, payloads: dict[str, str], said: str
) -> None:
    set_buses(monkeypatch, {"accounting": _read_by_alerts()})
    (throwaway.schemas / throwaway.name).mkdir()
    (throwaway.schemas / throwaway.name / "regretted.v1.json").write_text('{"type": "object"}')
    own = f"sliceline.{throwaway.name}.regretted.v1"
    throwaway.write(**{name: f"{own if name == 'SaidIt' else CANCELLED}\n{bus}" for name, bus in payloads.items()})
    [told] = objections(throwaway.service())
    assert said.format(name=throwaway.name) in told


def _read_by_alerts() -> Bus:
    return Bus(
        name="accounting",
        topics="accounting.events",
        partitions=1,
        retention_days=1,
        publish=("router",),
        read=("alerts",),
    )


def test_who_takes_every_event_of_a_topic_has_to_be_let_read_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    set_buses(monkeypatch, {"accounting": _read_by_alerts()})
    reading = every_event_of("accounting.events"), every_event_of("elsewhere")
    told = [
        objections(Service(name, None, None, handlers=dict.fromkeys(reading, _pass_over)))  # type: ignore[arg-type]
        for name in ("alerts", "orders")
    ]
    elsewhere = "reads the topic elsewhere, which is of no bus in buses.toml."
    assert told[0] == [f"alerts {elsewhere}"]
    assert told[1] == [
        "orders may not read accounting.events: buses.toml lets alerts read the bus accounting.",
        f"orders {elsewhere}",
    ]


def test_a_service_that_may_not_publish_where_it_says_does_not_start(throwaway: ThrowAway) -> None:
    (throwaway.schemas / throwaway.name).mkdir()
    (throwaway.schemas / throwaway.name / "regretted.v1.json").write_text('{"type": "object"}')
    throwaway.write(SaidIt=f"sliceline.{throwaway.name}.regretted.v1\n{ACCOUNTING}")
    code, said = throwaway.start()
    assert (code, said.count("\n")) == (2, 1)
    assert f"{throwaway.name} may not: buses.toml lets router publish to accounting." in said


async def test_migrating_makes_the_topics_of_every_bus_and_keeps_them_as_long_as_it_says(
    thing: Things, side: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = replace_bus(side, topics=f"{thing.name}-fresh.events", partitions=5)
    set_buses(monkeypatch, {"fresh": fresh})
    for days in (1, 3):
        set_buses(monkeypatch, {"fresh": replace_bus(fresh, retention_days=days)})
        await migrate.make_topics(thing.kafka, 1, lambda _: None)
        await eventually(lambda days=days: _kept(thing.kafka, fresh.topics, days))  # type: ignore[misc]
    assert await _partitions(thing.kafka, fresh.topics) == 5


async def test_a_topic_with_other_partitions_than_its_bus_says_is_refused(
    thing: Things, side: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_buses(monkeypatch, {"side": replace_bus(side, partitions=7)})
    with pytest.raises(Repartitioned, match=r"has 2 partitions instead of 7 \(buses.toml, side\)"):
        await migrate.make_topics(thing.kafka, 1, lambda _: None)


def replace_bus(bus: Bus, **changed: Any) -> Bus:
    return msgspec.structs.replace(bus, **changed)


async def _kept(kafka: Brokers, topic: str, days: int) -> bool:
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    try:
        answers: list[Any] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        found = {entry[0]: entry[1] for entry in answers[0].resources[0][4]}
    finally:
        await admin.close()
    return found.get("retention.ms") == str(days * 86_400_000)


async def _partitions(kafka: Brokers, topic: str) -> int:
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    try:
        [described] = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return len(described["partitions"])
