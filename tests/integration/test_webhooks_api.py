"""Webhooks over HTTP: what is refused, told and paged."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from backbone.ids import new_id
from deployment.catalogue import sample_of
from services.webhooks import store
from services.webhooks.endpoint import Endpoint, Status
from services.webhooks.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed

PLACED, BAKED = "sliceline.orders.order-placed.v1", "sliceline.kitchen.pizza-baked.v1"
REQUESTED = "sliceline.router.delivery-requested.v1"
OWED = """
SELECT endpoint_id, event_id, d.key, status FROM deliveries AS d JOIN messages USING (position)
ORDER BY endpoint_id, position
"""
SOUND = {"url": "https://hooks.example.com/a", "pattern": {"type": [{"prefix": "sliceline.orders."}]}}


@pytest.fixture
async def webhooks(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


async def create(webhooks: Fed, **wanted: Any) -> dict[str, Any]:
    answer = await webhooks.client.post("/endpoints", json={**SOUND, **wanted})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_an_endpoint_is_told_as_it_was_made(webhooks: Fed) -> None:
    wanted = {"ordered": True, "concurrency": 2, "rate": 1.5, "allowed_failures": 7, "description": "Accounting"}
    made = await create(webhooks, **wanted)
    shown = (await webhooks.client.get(f"/endpoints/{made['id']}")).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert {name: shown[name] for name in (*SOUND, *wanted)} == {**SOUND, **wanted}
    assert (shown["status"], shown["failures"]) == ("unproven", 0)


async def test_an_endpoint_is_called_by_its_name_and_a_name_names_one(webhooks: Fed) -> None:
    made = await create(webhooks, name="accounting")
    assert made["id"] == "accounting"
    again = await webhooks.client.post("/endpoints", json={**SOUND, "name": "accounting"})
    assert (again.status_code, again.json()["title"]) == (409, "Name taken")
    assert again.json()["errors"][0]["field"] == "name"
    assert (await webhooks.client.get("/endpoints/accounting")).json()["ping_result"] is None


async def test_an_endpoint_is_made_once_under_its_idempotency_key(webhooks: Fed) -> None:
    headers = {"Idempotency-Key": new_id()}
    first, second = [await webhooks.client.post("/endpoints", json=SOUND, headers=headers) for _ in range(2)]
    assert first.content == second.content
    assert first.headers["Location"] == f"/endpoints/{first.json()['id']}"
    assert len((await webhooks.client.get("/endpoints")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "http://127.0.0.1/"),
        ("url", "http://169.254.169.254/latest/meta-data"),
        ("url", "http://2130706433/"),
        ("url", "https://ada:secret@hooks.example.com/"),
        ("url", "https://hooks.example.com:6379/"),
        ("url", "https://hooks.example.com./"),
        ("url", "https://localhost/"),
        ("url", "https://[::1]/"),
        ("url", "ftp://hooks.example.com/"),
        ("url", "hooks.example.com"),
        ("url", "https://hooks.example.com/" + "a" * 2000),
        ("url", 7),
        ("pattern", "sliceline.orders.*"),
        ("pattern", {}),
        ("pattern", {"type": ["x" * 4096]}),
        ("pattern.type", {"type": "sliceline.orders.order-placed.v1"}),
        ("pattern.data.lines[0].numeric[1]", {"data": {"lines": [{"numeric": [">", "1"]}]}}),
        ("pattern.tpye", {"tpye": ["x"]}),
        ("pattern.$or[1].detail-type", {"$or": [{"type": ["x"]}, {"detail-type": ["x"]}]}),
        ("pattern.subject.order", {"subject": {"order": ["x"]}}),
        ("concurrency", 0),
        ("concurrency", 33),
        ("concurrency", 1.5),
        ("rate", 0),
        ("rate", 1e-12),
        ("rate", 1e9),
        ("allowed_failures", 0),
        ("ordered", "yes"),
        ("name", "no blanks"),
        ("description", "two\nlines"),
        ("status", "active"),
    ],
)
async def test_a_bad_field_is_named_and_nothing_is_made(webhooks: Fed, field: str, value: object) -> None:
    answer = await webhooks.client.post("/endpoints", json={**SOUND, field.split(".")[0]: value})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert (await webhooks.client.get("/endpoints")).json()["items"] == []


@pytest.mark.parametrize(
    "changes", [{"url": "http://10.0.0.1/"}, {"url": None}, {"status": "unproven"}, {"secret": "a"}, {"pattern": {}}]
)
async def test_a_bad_change_changes_nothing(webhooks: Fed, changes: dict[str, Any]) -> None:
    made = await create(webhooks)
    answer = await webhooks.client.patch(f"/endpoints/{made['id']}", json=changes)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [next(iter(changes))]
    assert (await webhooks.client.get(f"/endpoints/{made['id']}")).json()["url"] == SOUND["url"]


async def test_a_rate_is_taken_away_by_null(webhooks: Fed) -> None:
    made = await create(webhooks, rate=2.0)
    changed = await webhooks.client.patch(f"/endpoints/{made['id']}", json={"rate": None, "concurrency": 8})
    assert (changed.json()["rate"], changed.json()["concurrency"]) == (None, 8)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("url", "hooks.example.com", "must be an address such as https://"),
        ("url", "", "must be an address such as https://"),
        ("rate", 0, "must be at least 1/3600: one call an hour"),
        ("status", "gone", "must be 'active' or 'disabled'"),
        (
            "pattern",
            {"tpye": ["x"]},
            "an event has attributes such as source and type, and data, but never tpye (is type ",
        ),
    ],
)
async def test_a_wrong_field_is_told_in_words_for_people(webhooks: Fed, field: str, value: Any, message: str) -> None:
    made = await create(webhooks)
    answer = await webhooks.client.patch(f"/endpoints/{made['id']}", json={field: value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"].startswith(message)


@pytest.mark.parametrize("how", ["recover", "replay-missing"])
async def test_a_disabled_endpoint_is_sent_nothing_again(webhooks: Fed, how: str) -> None:
    made, since = await create(webhooks), {"since": "2026-11-01T18:00:00Z"}
    await webhooks.client.patch(f"/endpoints/{made['id']}", json={"status": "disabled"})
    answer = await webhooks.client.post(f"/endpoints/{made['id']}/{how}", json=since)
    assert (answer.status_code, answer.json()["title"]) == (409, "Disabled")
    await webhooks.client.patch(f"/endpoints/{made['id']}", json={"status": "active"})
    assert (await webhooks.client.post(f"/endpoints/{made['id']}/{how}", json=since)).status_code == 202


@pytest.mark.parametrize("since", ["yesterday", "2026-11-01T18:00:00", None, 5, "5", 1.8e9, "2999-01-01T00:00:00Z"])
async def test_a_recovery_needs_a_moment_of_the_past_in_a_time_zone(webhooks: Fed, since: object) -> None:
    made = await create(webhooks)
    answer = await webhooks.client.post(f"/endpoints/{made['id']}/recover", json={"since": since})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "since")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"concurrency": 3}),
        ("DELETE", "", None),
        ("POST", "/ping", None),
        ("POST", "/secret", None),
        ("POST", "/recover", {"since": "2026-11-01T18:00:00Z"}),
        ("POST", "/replay-missing", {"since": "2026-11-01T18:00:00Z"}),
        ("GET", "/deliveries", None),
        ("POST", "/deliveries/a/redrive", None),
    ],
)
async def test_an_endpoint_that_is_not_there_is_a_404(
    webhooks: Fed, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = await webhooks.client.request(method, f"/endpoints/nobody{path}", json=body)
    assert (answer.status_code, answer.json()["title"]) == (404, "No such endpoint")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/redrive"), ("POST", "/discard")])
async def test_a_delivery_that_is_not_there_is_a_404(webhooks: Fed, method: str, path: str) -> None:
    made = await create(webhooks)
    answer = await webhooks.client.request(method, f"/endpoints/{made['id']}/deliveries/{new_id()}{path}")
    assert (answer.status_code, answer.json()["title"]) == (404, "No such delivery")


async def test_endpoints_are_paged(webhooks: Fed) -> None:
    made = [(await create(webhooks))["id"] for _ in range(3)]
    first = (await webhooks.client.get("/endpoints", params={"limit": 2})).json()
    rest = (await webhooks.client.get("/endpoints", params={"limit": 2, "after": first["next"]})).json()
    assert [each["id"] for each in (*first["items"], *rest["items"])] == sorted(made)
    assert rest["next"] is None


async def owed(webhooks: Fed) -> list[tuple[Any, ...]]:
    async with webhooks.database.transaction() as tx:
        jobs = await tx.raw.fetch("SELECT kind, key FROM jobs ORDER BY kind, key")
        return [tuple(row) for row in [*await tx.raw.fetch(OWED), *jobs]]


async def test_a_batch_at_once_owes_what_its_events_one_by_one_would(new_database: NewDatabase) -> None:
    patterns = {"accounting": None, "all": {"type": [{"prefix": ""}]}, "bakers": {"type": [BAKED]}}
    made: dict[str, Any] = {"url": SOUND["url"], "secret": "whsec_a", "status": Status.ACTIVE}
    now = datetime.now(UTC)
    endpoints = [Endpoint(id=name, pattern=each, created_at=now, **made) for name, each in patterns.items()]
    async with fed(SERVICE, new_database) as at_once, fed(SERVICE, new_database) as one_by_one:
        for each in (at_once, one_by_one):
            async with each.database.transaction() as tx:
                await store.save_all(tx, endpoints)
        types = (PLACED, BAKED, REQUESTED, PLACED)
        records = [at_once.record(each, {**sample_of(each), "order": new_id()}) for _ in range(3) for each in types]
        records += records[:3]
        await at_once.deliver(*records)
        for record in records:
            await one_by_one.deliver(record)
        expected = await owed(one_by_one)
        assert await owed(at_once) == expected
    waiting = Counter(name for name, *_, status in expected if status == "waiting")
    assert waiting == {"accounting": 3, "all": 9, "bakers": 3}
