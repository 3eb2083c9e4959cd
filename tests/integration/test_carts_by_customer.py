"""Whose carts are: a customer's are hers alone, from the first item on."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from backbone.ids import new_id
from services.carts.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.issuing import Issuer, bearing, issuing

OWN = ("carts.read.own", "carts.write.own")


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture
async def carts(new_database: NewDatabase, issuer: Issuer) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database, issuer=issuer.url) as service:
        yield service


def item(name: str | None) -> dict[str, Any]:
    customer = {"id": name, "name": "Somebody", "email": f"{name}@example.com"}
    return {"item": "margherita", **({"customer": customer} if name else {})}


async def test_a_customers_cart_is_hers_from_its_first_item_on(carts: Fed, issuer: Issuer) -> None:
    cart, ada, ben = new_id(), bearing(issuer.token("ada", *OWN)), bearing(issuer.token("ben", *OWN))
    begun = await carts.client.post(f"/carts/{cart}/items", json=item(None), headers=ada)
    assert (begun.status_code, begun.json()["errors"][0]["field"]) == (422, "customer")
    assert (await carts.client.post(f"/carts/{cart}/items", json=item("ada"), headers=ada)).status_code == 202
    assert (await carts.client.post(f"/carts/{cart}/items", json=item(None), headers=ada)).status_code == 202
    terms = {"currency": "GBP", "address": "1 Mill Lane"}
    for method, path, body in (
        ("GET", "", None),
        ("POST", "/items", item("ben")),
        ("POST", "/items", item(None)),
        ("PUT", "/items/margherita", {"quantity": 5}),
        ("DELETE", "/items/margherita", None),
        ("POST", "/checkout", terms),
    ):
        told = await carts.client.request(method, f"/carts/{cart}{path}", json=body, headers=ben)
        assert told.status_code == 404, told.text
    assert (await carts.client.post(f"/carts/{cart}/items", json=item("ada"), headers=ben)).status_code == 403
    assert (await carts.client.get(f"/carts/{cart}", headers=ada)).json()["lines"] == [
        {"item": "margherita", "quantity": 2}
    ]


async def test_the_staff_reaches_every_cart(carts: Fed, issuer: Issuer) -> None:
    cart, olga = new_id(), bearing(issuer.token("olga", "carts.read", "carts.write"))
    assert (await carts.client.post(f"/carts/{cart}/items", json=item(None), headers=olga)).status_code == 202
    assert (await carts.client.post(f"/carts/{cart}/items", json=item("ada"), headers=olga)).status_code == 202
    assert (await carts.client.get(f"/carts/{cart}", headers=olga)).json()["customer"]["id"] == "ada"
