"""The router on a real database: rules as data, and what they make of the shop's events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from backbone.consuming.consumer import Consumer
from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events import buses
from backbone.events.dataref import LARGEST_INLINE
from backbone.events.payload import every_event_of
from backbone.ids import new_id
from backbone.publishing.relay import Relay
from deployment.catalogue import sample_of
from services.router.consumers import route
from services.router.decisions import LARGEST_EVENT
from services.router.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.things import Things, running
from tests.issuing import by
from tests.waiting import eventually

PLACED = "sliceline.orders.order-placed.v1"
PATTERN = {"source": ["/sliceline/orders"], "type": [PLACED]}
DELIVERY, FORWARDED, CHANGED = (
    f"sliceline.router.{event}.v1" for event in ("delivery-requested", "event-forwarded", "rule-changed")
)


MORE_BUSES = """
[partners]
topics = "partners-told.events"
partitions = 1
retention_days = 1
publish = ["router"]
read = ["router"]

[far]
topics = "far.events"
partitions = 1
retention_days = 1
publish = ["router"]
read = ["router"]
"""


@pytest.fixture
async def router(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fed]:
    known = buses.parse(buses.FILE.read_text() + MORE_BUSES)
    monkeypatch.setattr(buses, "known", lambda: known)
    async with fed(SERVICE, new_database) as service:
        yield service


def body(**changed: Any) -> dict[str, Any]:
    return {"name": new_id(), "pattern": PATTERN, "targets": [{"webhook": "accounting"}], **changed}


async def rule(service: Fed, **changed: Any) -> str:
    """Make a rule; returns its id."""
    answer = await service.client.post("/rules", json=body(**changed), headers=by("ada"))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def placed(service: Fed, **changed: Any) -> str:
    """Hand an order-placed to the service; returns its order."""
    order = new_id()
    await service.feed((PLACED, {**sample_of(PLACED), "order": order, **changed}))
    return order


async def test_a_rule_is_made_and_shown(router: Fed) -> None:
    asked = body(targets=[{"webhook": "w", "input": {"pick": ["data.order"]}}, {"bus": "partners"}])
    made = await router.client.post("/rules", json=asked, headers=by("ada"))
    assert made.status_code == 201
    found = (await router.client.get(made.headers["Location"])).json()
    assert found == made.json()
    assert (found["bus"], found["pattern"], found["version"], found["changed_by"]) == ("default", PATTERN, 1, "ada")
    [told] = await router.published(found["id"])
    assert (told[0], told[1]["change"], told[1]["after"]["targets"]) == (CHANGED, "created", asked["targets"])


async def test_every_change_is_a_version_that_stays(router: Fed) -> None:
    made = await rule(router)
    changed = body(name="other")
    calls = [
        router.client.put(f"/rules/{made}", json={**changed, "version": 1}, headers=by("bob")),
        router.client.post(f"/rules/{made}/disable"),
        router.client.post(f"/rules/{made}/disable"),
        router.client.post(f"/rules/{made}/enable"),
        router.client.delete(f"/rules/{made}", headers=by("cy")),
    ]
    assert [(await call).status_code for call in calls] == [200, 200, 200, 200, 204]
    assert (await router.client.get(f"/rules/{made}")).status_code == 404
    versions = (await router.client.get(f"/rules/{made}/versions")).json()["items"]
    assert [(each["version"], each["change"], each["changed_by"]) for each in versions] == [
        (1, "created", "ada"),
        (2, "changed", "bob"),
        (3, "disabled", "somebody"),
        (4, "enabled", "somebody"),
        (5, "deleted", "cy"),
    ]
    assert [each["content"]["name"] for each in versions][1:] == ["other"] * 4
    told = [each[1]["change"] for each in await router.published(made)]
    assert told == ["created", "changed", "disabled", "enabled", "deleted"]


async def test_versions_are_paged(router: Fed) -> None:
    made = await rule(router)
    await router.client.post(f"/rules/{made}/disable")
    first = (await router.client.get(f"/rules/{made}/versions", params={"limit": 1})).json()
    rest = (await router.client.get(f"/rules/{made}/versions", params={"after": first["next"]})).json()
    assert [each["version"] for each in first["items"] + rest["items"]] == [1, 2]
    assert rest["next"] is None


async def test_a_rule_that_has_changed_since_is_not_changed(router: Fed) -> None:
    made = await rule(router)
    await router.client.post(f"/rules/{made}/disable")
    answer = await router.client.put(f"/rules/{made}", json=body(version=1))
    assert (answer.status_code, answer.json()["title"]) == (409, "Rule has changed")
    assert len(await router.published(made)) == 2


async def test_two_changes_at_once_are_two_versions(router: Fed) -> None:
    made = await rule(router)
    names = [f"name {number}" for number in range(5)]
    calls = [router.client.put(f"/rules/{made}", json=body(name=name)) for name in names]
    assert {each.status_code for each in await asyncio.gather(*calls)} == {200}
    versions = (await router.client.get(f"/rules/{made}/versions")).json()["items"]
    assert [each["version"] for each in versions] == [1, 2, 3, 4, 5, 6]
    assert sorted(each["content"]["name"] for each in versions[1:]) == names


async def test_a_name_is_taken_once_on_a_bus(router: Fed) -> None:
    await rule(router, name="large orders")
    other = await rule(router, name="large orders", bus="partners")
    twice = await router.client.post("/rules", json=body(name="large orders"))
    moved = await router.client.put(f"/rules/{other}", json=body(name="large orders"))
    assert [(each.status_code, each.json()["errors"][0]["field"]) for each in (twice, moved)] == [(409, "name")] * 2


async def test_rules_are_listed_by_bus(router: Fed) -> None:
    made = [await rule(router), await rule(router, bus="partners"), await rule(router)]
    every = (await router.client.get("/rules")).json()["items"]
    some = (await router.client.get("/rules", params={"bus": "partners"})).json()["items"]
    assert ([each["id"] for each in every], [each["id"] for each in some]) == (made, made[1:2])


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"pattern": {**PATTERN, "data": {"lines": [{"numeric": 5}]}}}, "pattern.data.lines[0].numeric"),
        ({"pattern": {"type": [PLACED]}}, "pattern.source"),
        ({"targets": [{"webhook": "a", "bus": "b"}]}, "targets.0"),
        ({"targets": [{"webhook": "a", "input": {"template": "{"}}]}, "targets.0.input.template"),
        ({"targets": []}, "targets"),
        ({"targets": [{"webhook": "a"}] * 6}, "targets"),
        ({"targets": [{"webhook": "two words"}]}, "targets.0.webhook"),
        ({"bus": "two words"}, "bus"),
        ({"bus": "nowhere"}, "bus"),
        ({"targets": [{"bus": "nowhere"}]}, "targets.0.bus"),
        ({"pattern": []}, "pattern"),
        ({"unknown": 1}, "unknown"),
    ],
)
async def test_an_unsound_rule_is_refused_with_its_place(router: Fed, changed: dict[str, Any], field: str) -> None:
    answer = await router.client.post("/rules", json=body(**changed))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    told = answer.json()
    assert told["title"] != "Unsound rule" or told["detail"] == f"{field}: {told['errors'][0]['message']}"
    assert (await router.client.get("/rules")).json()["items"] == []


@pytest.mark.parametrize("path", ["", "/versions", "/troubles"])
async def test_nothing_is_known_of_a_rule_that_never_was(router: Fed, path: str) -> None:
    answer = await router.client.get(f"/rules/nothing{path}")
    assert (answer.status_code, answer.json()["title"]) == (404, "No such rule")


async def test_a_command_under_a_key_makes_one_rule(router: Fed) -> None:
    asked, key = body(), {"Idempotency-Key": new_id()}
    answers = [await router.client.post("/rules", json=asked, headers=key) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len((await router.client.get("/rules")).json()["items"]) == 1


async def test_an_event_is_tried_on_a_pattern(router: Fed) -> None:
    event = {"source": "/sliceline/orders", "type": PLACED, "data": {"total": {"amount": 2400}}}
    pattern = {**PATTERN, "data": {"total": {"amount": [{"numeric": [">", 5000]}]}}}
    answer = (await router.client.post("/rules/test", json={"pattern": pattern, "event": event})).json()
    assert answer["matches"] is False
    assert answer["reasons"] == [
        {"place": "data.total.amount", "message": "data.total.amount has to be a number > 5000", "found": [2400]}
    ]


async def test_an_event_is_tried_on_a_rule_and_shows_what_its_targets_would_get(router: Fed) -> None:
    made = await rule(router, targets=[{"webhook": "w", "input": {"template": "{data.order}!"}}, {"webhook": "v"}])
    event = {"source": "/sliceline/orders", "type": PLACED, "data": {"order": "o1"}}
    answer = (await router.client.post("/rules/test", json={"rule": made, "event": event})).json()
    assert answer == {"matches": True, "reasons": [], "inputs": ["o1!", event]}
    assert len(await router.published(made)) == 1  # its creation, and nothing else


@pytest.mark.parametrize("both", [{}, {"rule": "r", "pattern": PATTERN}])
async def test_a_trial_is_of_a_rule_or_of_a_pattern(router: Fed, both: dict[str, Any]) -> None:
    assert (await router.client.post("/rules/test", json={**both, "event": {}})).status_code == 422


async def test_a_trial_of_a_bad_pattern_names_the_place(router: Fed) -> None:
    answer = await router.client.post("/rules/test", json={"pattern": {"a": [{"prefix": 1}]}, "event": {}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "pattern.a[0].prefix")


async def test_a_trial_takes_no_larger_pattern_than_a_rule(router: Fed) -> None:
    pattern = {"data": {"a": ["x" * 4096]}}
    answer = await router.client.post("/rules/test", json={"pattern": pattern, "event": {}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "pattern")
    assert "4096 are allowed" in answer.json()["detail"]


async def test_a_webhook_is_asked_to_deliver_what_matches(router: Fed) -> None:
    made = await rule(router, targets=[{"webhook": "accounting", "input": {"pick": ["data.order"]}}])
    order = await placed(router)
    await router.feed(("sliceline.orders.order-cancelled.v1", sample_of("sliceline.orders.order-cancelled.v1")))
    [(event_type, data)] = await router.published(order)
    assert event_type == DELIVERY
    assert (data["endpoint"], data["rule"], data["version"]) == ("accounting", made, 1)
    assert data["input"] == {"data": {"order": order}}
    assert (data["event"]["type"], data["event"]["subject"]) == (PLACED, order)


async def test_what_a_delivery_says_goes_on_with_the_story_of_its_event(router: Fed) -> None:
    await rule(router)
    order = new_id()
    story = await router.hear((PLACED, {**sample_of(PLACED), "order": order}))
    async with router.database.transaction() as tx:
        stories = await tx.raw.fetch("SELECT correlationid FROM outbox WHERE aggregateid = $1", order)
    assert [row["correlationid"] for row in stories] == [story]


async def test_a_rule_is_about_any_type_also_one_that_nobody_knows_yet(router: Fed) -> None:
    await rule(router, pattern={"source": ["/sliceline/orders"], "type": [{"suffix": ".v9"}]})
    record = router.record(PLACED, {"order": "new", "anything": [1, {"b": None}]})
    unheard_of = b"sliceline.orders.order-teleported.v9"
    record.headers[:] = [(name, unheard_of if name == "ce_type" else value) for name, value in record.headers]
    await router.deliver(record, record)
    [(_, data)] = await router.published("new")
    assert data["input"]["data"] == {"order": "new", "anything": [1, {"b": None}]}


@pytest.mark.parametrize("switch", ["disable", "delete"])
async def test_a_rule_that_rests_or_is_gone_sends_nothing(router: Fed, switch: str) -> None:
    made = await rule(router)
    first = await placed(router)
    if switch == "delete":
        await router.client.delete(f"/rules/{made}")
    else:
        await router.client.post(f"/rules/{made}/disable")
    second = await placed(router)
    assert [len(await router.published(order)) for order in (first, second)] == [1, 0]


async def test_a_changed_rule_is_at_work_with_the_next_event(router: Fed) -> None:
    made = await rule(router)
    first = await placed(router)
    await router.client.put(f"/rules/{made}", json=body(targets=[{"webhook": "other"}]))
    second = await placed(router)
    sent = [(await router.published(order))[0][1] for order in (first, second)]
    assert [(each["endpoint"], each["version"]) for each in sent] == [("accounting", 1), ("other", 2)]


async def test_what_does_not_travel_in_a_topic_is_passed_on_as_well(router: Fed) -> None:
    await rule(router)
    lines = [{"item": "x" * 60, "quantity": 1, "unit_price": {"amount": 1, "currency": "GBP"}, "baked": True}] * 500
    [(_, data)] = await router.published(await placed(router, lines=lines))
    assert len(msgspec.json.encode(data)) > LARGEST_INLINE
    assert data["input"]["data"]["lines"] == lines


async def test_what_is_too_large_to_pass_on_holds_up_nothing(router: Fed) -> None:
    made = await rule(router, pattern={"source": ["/sliceline/orders"], "type": [{"prefix": "sliceline.orders."}]})
    large = router.record(PLACED, {"order": "large", "text": "x" * LARGEST_EVENT})
    large.headers[:] = [
        (name, b"sliceline.orders.order-pictured.v9" if name == "ce_type" else value) for name, value in large.headers
    ]
    await router.deliver(large)
    small = await placed(router)
    assert [len(await router.published(order)) for order in ("large", small)] == [0, 1]
    [trouble] = (await router.client.get(f"/rules/{made}/troubles")).json()["items"]
    assert trouble["kind"] == "too-large"


async def test_of_a_batch_of_events_those_are_routed_that_match(router: Fed) -> None:
    await rule(router, pattern={**PATTERN, "data": {"total": {"amount": [{"numeric": [">=", 50]}]}}})
    orders = [new_id() for _ in range(100)]
    sample = sample_of(PLACED)
    totals = [{"amount": number, "currency": "GBP"} for number in range(100)]
    data = [{**sample, "order": order, "total": total} for order, total in zip(orders, totals, strict=True)]
    await router.feed(*[(PLACED, each) for each in data])
    assert [len(await router.published(order)) for order in orders] == [0] * 50 + [1] * 50


async def test_what_a_service_says_over_kafka_reaches_the_rules(router: Fed, thing: Things) -> None:
    """Once with a real relay and consumer, on a topic of the test's own."""
    await rule(router, pattern={"type": [{"prefix": f"sliceline.{thing.name}."}]}, means_all=True)
    await thing.publish("a", 1, 2)
    handlers: Handlers = {every_event_of(thing.topic): BatchHandler(route)}
    consumer = Consumer(thing.name, handlers, router.database, thing.kafka)
    async with running(Relay(thing.database, thing.kafka), consumer):

        async def both() -> bool:
            return len(await router.published("a")) == 2

        await eventually(both)
    assert [data["input"]["data"]["number"] for _, data in await router.published("a")] == [1, 2]
