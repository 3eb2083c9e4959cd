"""Partners on a real database: what is right is published once, and nothing else leaves a trace."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.partners.service import SERVICE
from services.partners.signatures import Style
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.unit.test_partner_signatures import STYLES, TIMED

CONTRACT = {
    "type": "object",
    "required": ["id", "minutes"],
    "properties": {"id": {"type": "string"}, "minutes": {"type": "integer", "minimum": 0}},
    "additionalProperties": False,
}
SAID = b'{"id": "evt_1",  "minutes": 20}'


@pytest.fixture
async def partners(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        async with service.database.transaction():
            pass  # from now on its clock is the database's
        yield service


async def agreed(partners: Fed, style: Style = Style.STANDARD, **more: Any) -> str:
    body = {"style": style, "contract": CONTRACT, **more}
    answer = await partners.client.put("/partners/acme", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["secret"])


async def tell(partners: Fed, headers: dict[str, str], body: bytes = SAID, name: str = "acme") -> httpx.Response:
    headers = {**headers, "Content-Type": "application/json"}
    return await partners.client.post(f"/partners/{name}/events", content=body, headers=headers)


def signed(
    partners: Fed, style: Style, secret: str, body: bytes = SAID, age: timedelta = timedelta()
) -> dict[str, str]:
    return STYLES[style](body, partners.database.now() - age, secret)


async def traces(partners: Fed) -> tuple[int, int]:
    """What was published, and what was noted as received."""
    async with partners.database.transaction() as tx:
        received = await tx.raw.fetchval("SELECT count(*) FROM received")
    return len(await partners.published("acme")), received


@pytest.mark.parametrize("style", list(Style))
async def test_what_a_partner_says_is_published_once_as_it_was_said(partners: Fed, style: Style) -> None:
    secret = await agreed(partners, style)
    answers = [await tell(partners, signed(partners, style, secret)) for _ in range(3)]
    assert [each.status_code for each in answers] == [202, 202, 202]
    assert [each.json()["repeated"] for each in answers] == [False, True, True]
    [(kind, data)] = await partners.published("acme")
    assert kind == "sliceline.partners.event-received.v1"
    assert (data["partner"], data["bus"], data["body"]) == ("acme", "partner.acme.events", json.loads(SAID))
    assert {each.json()["id"] for each in answers} == {data["id"]}


@pytest.mark.parametrize("style", list(Style))
async def test_what_is_forged_leaves_no_trace(partners: Fed, style: Style) -> None:
    secret = await agreed(partners, style)
    forged = [
        await tell(partners, {}),
        await tell(partners, signed(partners, style, secret), SAID.replace(b"20", b"21")),
        await tell(partners, signed(partners, style, "whsec_" + "A" * 44)),
    ]
    assert [(each.status_code, each.json()["title"]) for each in forged] == [(401, "Wrong signature")] * 3
    assert await traces(partners) == (0, 0)


@pytest.mark.parametrize("style", TIMED)
async def test_what_is_stale_leaves_no_trace(partners: Fed, style: Style) -> None:
    secret = await agreed(partners, style)
    for age in (timedelta(minutes=6), timedelta(minutes=-6)):
        assert (await tell(partners, signed(partners, style, secret, age=age))).status_code == 401
    assert await traces(partners) == (0, 0)


@pytest.mark.parametrize("style", list(Style))
async def test_a_key_under_which_something_was_taken_answers_nobody_who_cannot_sign(
    partners: Fed, style: Style
) -> None:
    secret, key = await agreed(partners, style), {"Idempotency-Key": "a-key"}
    assert (await tell(partners, {**signed(partners, style, secret), **key})).status_code == 202
    forged = [key, {**signed(partners, style, "whsec_" + "A" * 44), **key}]
    assert [(await tell(partners, each)).status_code for each in forged] == [401, 401]
    again = await tell(partners, {**signed(partners, style, secret), **key})
    assert (again.status_code, again.json()["repeated"]) == (202, True)
    assert await traces(partners) == (1, 1)


@pytest.mark.parametrize("style", TIMED)
async def test_a_key_under_which_something_was_taken_makes_nothing_stale_fresh(partners: Fed, style: Style) -> None:
    secret, key = await agreed(partners, style), {"Idempotency-Key": "a-key"}
    assert (await tell(partners, {**signed(partners, style, secret), **key})).status_code == 202
    stale = signed(partners, style, secret, age=timedelta(minutes=6))
    assert (await tell(partners, {**stale, **key})).status_code == 401


async def test_whoever_signs_is_offered_no_key(partners: Fed) -> None:
    paths = (await partners.client.get("/openapi.json")).json()["paths"]
    offered = {
        path: {each["name"].lower() for each in paths[path]["post"]["parameters"]}
        for path in ("/partners/{partner}/events", "/partners/{partner}/secret")
    }
    assert "idempotency-key" not in offered["/partners/{partner}/events"]
    assert "idempotency-key" in offered["/partners/{partner}/secret"]


@pytest.mark.parametrize("size", [49 * 1024, 65 * 1024, 1024 * 1024])
async def test_what_is_too_large_leaves_no_trace(partners: Fed, size: int) -> None:
    secret = await agreed(partners)
    body = b'{"id": "%s", "minutes": 1}' % (b"a" * size)
    assert (await tell(partners, signed(partners, Style.STANDARD, secret, body), body)).status_code == 413
    assert await traces(partners) == (0, 0)


async def test_the_largest_body_is_published(partners: Fed) -> None:
    secret = await agreed(partners)
    body = b'{"id": "%s", "minutes": 1}' % (b"a" * (48 * 1024 - 26))
    assert (await tell(partners, signed(partners, Style.STANDARD, secret, body), body)).status_code == 202
    assert await traces(partners) == (1, 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"id": "a"}', "minutes"),
        (b'{"id": "a", "minutes": -1}', "minutes"),
        (b'{"id": "a", "minutes": "1"}', "minutes"),
        (b'{"id": "a", "minutes": 1, "more": 2}', "body"),
    ],
)
async def test_what_breaks_the_contract_is_named_and_leaves_no_trace(partners: Fed, body: bytes, field: str) -> None:
    secret = await agreed(partners)
    answer = await tell(partners, signed(partners, Style.STANDARD, secret, body), body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert await traces(partners) == (0, 0)


async def test_a_field_that_is_missing_is_told_to_be_required(partners: Fed) -> None:
    secret, body = await agreed(partners), b'{"id": "a"}'
    answer = await tell(partners, signed(partners, Style.STANDARD, secret, body), body)
    assert answer.json()["errors"] == [{"field": "minutes", "message": "is required"}]


async def test_who_cannot_sign_learns_nothing_of_what_is_agreed(partners: Fed) -> None:
    secret = await agreed(partners)
    too_large = b'{"id": "%s"}' % (b"a" * 50_000)
    for body in (b'{"not": "agreed"}', too_large):
        forged = signed(partners, Style.STANDARD, secret)
        assert (await tell(partners, forged, body)).status_code == 401
    assert await traces(partners) == (0, 0)


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'"text"', b"\xff"])
async def test_what_is_no_object_leaves_no_trace(partners: Fed, body: bytes) -> None:
    await agreed(partners)
    assert (await tell(partners, {}, body)).status_code in (400, 422)
    assert await traces(partners) == (0, 0)


async def test_a_stranger_is_a_404(partners: Fed) -> None:
    answer = await tell(partners, signed(partners, Style.STANDARD, "whsec_" + "A" * 44), name="nobody")
    assert (answer.status_code, answer.json()["title"]) == (404, "No such partner")


async def test_two_secrets_are_right_for_a_day_after_a_rotation(partners: Fed) -> None:
    old = await agreed(partners)
    new = (await partners.client.post("/partners/acme/secret")).json()["secret"]
    for number, secret in enumerate((old, new)):
        body = b'{"id": "a", "minutes": %d}' % number
        headers = STYLES[Style.STANDARD](body, partners.database.now(), secret, f"msg_{number}")
        assert (await tell(partners, headers, body)).status_code == 202
    async with partners.database.transaction() as tx:
        await tx.raw.execute("UPDATE partners SET old_secret_until = old_secret_until - interval '25 hours'")
    assert (await tell(partners, signed(partners, Style.STANDARD, old))).status_code == 401


async def test_who_changes_the_style_leaves_the_secret_before_behind(partners: Fed) -> None:
    old = await agreed(partners, Style.GITHUB, secret="16 characters of theirs")
    await partners.client.post("/partners/acme/secret")
    new = await agreed(partners, Style.STANDARD)
    assert (await partners.client.get("/partners/acme")).json()["old_secret_until"] is None
    assert (await tell(partners, signed(partners, Style.STANDARD, new))).status_code == 202
    await agreed(partners, Style.GITHUB)
    assert (await tell(partners, signed(partners, Style.GITHUB, old))).status_code == 401


async def test_who_changes_only_the_contract_keeps_the_secret_before(partners: Fed) -> None:
    old = await agreed(partners)
    await partners.client.post("/partners/acme/secret")
    await agreed(partners)
    assert (await tell(partners, signed(partners, Style.STANDARD, old))).status_code == 202


async def test_a_partner_brings_a_secret_of_its_own(partners: Fed) -> None:
    assert await agreed(partners, Style.STRIPE, secret="whsec_of_their_own") == "whsec_of_their_own"
    shown = (await partners.client.get("/partners/acme")).text
    assert "whsec_of_their_own" not in shown
    assert "whsec_of_their_own" not in (await partners.client.get("/partners")).text


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"style": "none"}, "style"),
        ({"secret": "short"}, "secret"),
        ({"contract": {"type": "nothing"}}, "contract.type"),
        ({"contract": {"properties": {"van": {"type": "text"}}}}, "contract.properties.van.type"),
        ({"contract": {"$ref": "https://elsewhere.example/schema.json"}}, "contract"),
        ({"contract": []}, "contract"),
        ({"more": 1}, "more"),
    ],
)
async def test_a_bad_agreement_is_refused_by_its_field(partners: Fed, changed: dict[str, Any], field: str) -> None:
    body = {"style": "standard-webhooks", "contract": CONTRACT, **changed}
    answer = await partners.client.put("/partners/acme", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert (await partners.client.get("/partners/acme")).status_code == 404


async def test_a_deleted_partner_tells_nothing_more(partners: Fed) -> None:
    secret = await agreed(partners)
    assert (await partners.client.delete("/partners/acme")).status_code == 204
    assert (await tell(partners, signed(partners, Style.STANDARD, secret))).status_code == 404
    assert await traces(partners) == (0, 0)


async def test_many_at_once_with_one_id_are_published_once(partners: Fed) -> None:
    secret = await agreed(partners)
    headers = signed(partners, Style.STANDARD, secret)
    answers = await asyncio.gather(*(tell(partners, headers) for _ in range(8)))
    assert sorted(each.json()["repeated"] for each in answers) == [False] + [True] * 7
    assert await traces(partners) == (1, 1)


@pytest.mark.parametrize(("name", "topic"), [("acme", "partner.acme"), ("acme_ltd", "partners")])
async def test_a_partner_is_heard_on_its_own_bus_where_its_name_is_one_for_a_bus(
    partners: Fed, name: str, topic: str
) -> None:
    body = {"style": Style.GITHUB, "contract": CONTRACT}
    secret = (await partners.client.put(f"/partners/{name}", json=body)).json()["secret"]
    answer = await tell(partners, signed(partners, Style.GITHUB, secret), name=name)
    assert answer.status_code == 202
    async with partners.database.transaction() as tx:
        assert await tx.raw.fetchval("SELECT aggregatetype FROM outbox") == topic
