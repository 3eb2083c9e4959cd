"""Rules and buses: what is put where, in which topic it lies, which rules see it, and where a circle is cut."""

from dataclasses import replace

import pytest

from backbone.consuming.handlers import topics_of
from backbone.events import buses
from backbone.events.topics import DEFAULT_BUS
from backbone.ids import new_id
from deployment.catalogue import sample_of
from services import CATALOGUE
from services.router.reach import bus_named, reach
from services.router.service import SERVICE
from tests.integration.one_service import Fed
from tests.integration.test_router import DELIVERY, FORWARDED, PATTERN, PLACED, body, placed, router, rule

__all__ = ["router"]

RECEIVED = "sliceline.partners.event-received.v1"


async def test_rules_of_another_bus_see_what_is_put_there(router: Fed) -> None:
    first = await rule(router, targets=[{"bus": "partners", "input": {"template": {"sum": "{data.total.amount}"}}}])
    second = await rule(router, bus="partners", pattern={**PATTERN, "data": {"sum": [{"exists": True}]}})
    order = await placed(router)
    [(forwarded, on), (delivery, asked)] = await router.published(order)
    amount = sample_of(PLACED)["total"]["amount"]
    assert (forwarded, on["bus"], on["trail"]) == (FORWARDED, "partners", [first])
    assert (on["event"]["type"], on["event"]["data"]) == (PLACED, {"sum": amount})
    assert (delivery, asked["rule"], asked["bus"]) == (DELIVERY, second, "partners")


async def test_a_loop_through_other_rules_is_cut_and_told(router: Fed) -> None:
    there = await rule(router, targets=[{"bus": "far"}])
    back = await rule(router, bus="far", targets=[{"bus": "default"}])
    order = await placed(router)
    await placed(router)
    trails = [data["trail"] for _, data in await router.published(order)]
    assert trails == [[there], [there, back]]
    [trouble] = (await router.client.get(f"/rules/{there}/troubles")).json()["items"]
    assert (trouble["kind"], trouble["times"]) == ("loop", 2)
    assert f"{there} > {back} > {there}" in trouble["detail"]
    assert (await router.client.get(f"/rules/{back}/troubles")).json()["items"] == []


@pytest.mark.parametrize("name", ["partner.", "partner.a_b", "partner.a.b", f"partner.{'x' * 65}"])
async def test_a_rule_is_of_no_bus_that_there_cannot_be(router: Fed, name: str) -> None:
    answer = await router.client.post("/rules", json=body(bus=name))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "bus")


CLOSED = """
["team.*"]
topics = "team.*.events"
partitions = 1
retention_days = 1
publish = ["router"]
read = ["router"]

["team.closed"]
topics = "team.closed.events"
partitions = 1
retention_days = 1
publish = ["partners"]
read = ["partners"]
"""


def test_a_bus_with_a_section_of_its_own_is_reached_as_that_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    known = buses.parse(buses.FILE.read_text() + CLOSED)
    monkeypatch.setattr(buses, "known", lambda: known)
    within = reach()
    assert [within.may_look_at(name) for name in ("team.open", "team.closed", "team.*")] == [True, False, False]
    assert [within.may_put_on(name) for name in ("team.open", "team.closed", "team.", "gone")] == [True] + [False] * 3


def test_the_default_bus_is_what_all_other_services_say() -> None:
    read = {topic for topic in topics_of(SERVICE.handlers) if bus_named(topic) == DEFAULT_BUS}
    assert read == {f"{name}.events" for name in CATALOGUE} - {"router.events"}


async def test_what_a_rule_puts_on_a_bus_lies_in_the_topic_of_that_bus_counted_by_itself(router: Fed) -> None:
    await rule(router, targets=[{"bus": "accounting"}, {"webhook": "w"}])
    order = new_id()
    for _ in range(2):
        await router.feed((PLACED, {**sample_of(PLACED), "order": order}))
    async with router.database.transaction() as tx:
        query = "SELECT type, aggregatetype, sequence FROM outbox WHERE aggregateid = $1 ORDER BY position"
        found = [tuple(row) for row in await tx.raw.fetch(query, order)]
    assert found == [
        (FORWARDED, "accounting", 1),
        (DELIVERY, "router", 1),
        (FORWARDED, "accounting", 2),
        (DELIVERY, "router", 2),
    ]


async def test_rules_of_a_bus_see_what_others_say_there_and_what_rules_put_there_only_once(router: Fed) -> None:
    await rule(router, bus="accounting", pattern={"type": [{"exists": True}]}, means_all=True)
    own, other = (replace(router.record(PLACED, sample_of(PLACED)), topic="accounting.events") for _ in range(2))
    own.headers[:] = [(name, b"/sliceline/router" if name == "ce_source" else value) for name, value in own.headers]
    await router.deliver(own, other)
    [(told, data)] = await router.published(sample_of(PLACED)["order"])
    assert (told, data["bus"], data["event"]["source"]) == (DELIVERY, "accounting", "/sliceline/orders")


async def test_rules_of_a_partners_bus_see_what_the_partner_says(router: Fed) -> None:
    made = await rule(router, bus="partner.acme", pattern={"type": [{"exists": True}]}, means_all=True)
    said = [
        replace(router.record(RECEIVED, sample_of(RECEIVED)), topic=f"partner.{name}.events")
        for name in ("acme", "other")
    ]
    await router.deliver(*said)
    [(told, data)] = await router.published(sample_of(RECEIVED)["partner"])
    assert (told, data["rule"], data["bus"]) == (DELIVERY, made, "partner.acme")


async def test_a_bus_that_is_no_more_is_a_trouble_of_the_rule_and_holds_up_nothing(
    router: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await rule(router, targets=[{"bus": "far"}, {"webhook": "w"}])
    monkeypatch.setattr(buses, "known", lambda: buses.parse(buses.FILE.read_text()))
    assert [told for told, _ in await router.published(await placed(router))] == [DELIVERY]
    [trouble] = (await router.client.get(f"/rules/{made}/troubles")).json()["items"]
    assert (trouble["kind"], trouble["times"]) == ("no-bus", 1)
