"""The ledger's contracts over HTTP: all of them, one with its fields and readers, and whether data fits it."""

from collections.abc import AsyncIterator

import pytest

from backbone.events import contracts
from deployment.catalogue import sample_of
from services.ledger.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed

PLACED, V1, V2 = (f"sliceline.orders.order-{event}" for event in ("placed.v1", "confirmed.v1", "confirmed.v2"))


@pytest.fixture
async def ledger(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as opened:
        yield opened


async def test_each_contract_is_listed_with_its_readers_and_its_end(ledger: Fed) -> None:
    items = {each["type"]: each for each in (await ledger.client.get("/contracts")).json()["items"]}
    assert set(items) == {each for owner in contracts.owners() for each in contracts.schemas_of(owner)}
    assert {"inventory", "payments"} <= set(items[PLACED]["readers"])
    assert (items[PLACED]["leaving"], items[PLACED]["version"]) == (None, 1)
    on_their_way_out = {name for name, each in items.items() if each["leaving"]}
    assert on_their_way_out == {name for name in items if contracts.leaving(name)}


async def test_a_contract_is_shown_with_its_fields_samples_and_versions(ledger: Fed) -> None:
    told = (await ledger.client.get(f"/contracts/{V2}")).json()
    assert (told["versions"], told["json_schema"]) == ([V1, V2], contracts.schema_of(V2))
    assert told["samples"][0] == {"name": "order-confirmed.v2", "data": sample_of(V2)}
    placed = (await ledger.client.get(f"/contracts/{PLACED}")).json()
    fields = {each["name"]: each for each in placed["fields"]}
    assert fields["customer.name"]["is_sealed"]
    assert fields["total.amount"]["says"] == "whole number, from 0"
    assert (await ledger.client.get("/contracts/sliceline.orders.order-placed.v9")).status_code == 404
    assert (await ledger.client.get("/contracts/anything")).json()["title"] == "No such contract"


async def test_who_reads_a_field_is_told_as_the_command_line_tells_it(ledger: Fed) -> None:
    async def readers(field: str) -> tuple[bool, list[str]]:
        answer = (await ledger.client.get(f"/contracts/{PLACED}/readers", params={"field": field})).json()
        return answer["is_known"], answer["readers"]

    known, total = await readers("total.amount")
    assert known
    assert "payments" in total
    assert "inventory" not in total
    assert await readers("no.such.field") == (False, [])


async def test_data_is_held_against_a_contract_and_its_values_are_not_told(ledger: Fed) -> None:
    async def check(data: object) -> dict[str, object]:
        answer = await ledger.client.post(f"/contracts/{PLACED}/check", json={"data": data})
        found: dict[str, object] = answer.json()
        return found

    assert await check(sample_of(PLACED)) == {"fits": True, "misfits": []}
    wrong = await check({**sample_of(PLACED), "fulfilment": "by drone", "order": 5})
    assert not wrong["fits"]
    assert "drone" not in str(wrong)
    assert {each["field"] for each in wrong["misfits"]} == {"fulfilment", "order"}  # type: ignore[attr-defined]
    refused = await ledger.client.post("/contracts/sliceline.a.b.v1/check", json={"data": {}})
    assert refused.status_code == 404
