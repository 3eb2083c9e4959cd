"""A shop at work shows no secret and nothing of a customer, in what lists its processes and in what they say."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import psutil
import pytest

from deployment.doors import OPERATOR
from deployment.people import people
from deployment.roles import every_role
from services import CATALOGUE
from tests.canaries import Canaries
from tests.processes import BESIDE, MASTER_KEY, SANDBOX
from tests.system import Shop
from tests.waiting import eventually

ENDPOINT = {"url": "https://hooks.example.com/sliceline", "pattern": {"type": ["nothing-at-all"]}}
PARTNER = {
    "style": "standard-webhooks",
    "contract": {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "string"}},
        "additionalProperties": False,
    },
}


@pytest.mark.beside(*BESIDE)
async def test_no_argument_list_log_metric_or_answer_has_a_secret_or_a_customers_own_and_nobody_lacks_a_privilege(
    shop: Shop,
) -> None:
    canaries = Canaries()
    made = await _secrets_handed_out(shop)
    refused = await _work(shop, canaries)
    secrets = {**_drawn(shop), **made, "the token of who asks": await shop.token(), "the master key": MASTER_KEY}
    assert len(secrets) > 60
    logs = {name: process.log.read_text(errors="replace") for name, process in shop.system.processes.items()}
    assert logs.keys() >= CATALOGUE.keys()
    told = {
        f"{path} of {name}": (await shop.http.get(shop.url(name, path))).text
        for name in CATALOGUE
        for path in ("/", "/metrics", "/backlog")
    }
    lists = {
        f"arguments of {each.pid}": " ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])
    }
    everywhere = {**{f"log of {name}": text for name, text in logs.items()}, **told, **lists, **refused}
    assert [
        (what, where) for what, secret in secrets.items() for where in everywhere if secret in everywhere[where]
    ] == []
    ours = {where: text for where, text in everywhere.items() if where not in {f"log of {each}" for each in SANDBOX}}
    assert [where for where, text in ours.items() if canaries.word in text] == []
    assert [name for name, text in logs.items() if "permission denied" in text] == []


async def _secrets_handed_out(shop: Shop) -> Mapping[str, str]:
    """Secrets that services themselves have made, and shown once."""
    endpoint = (await shop.http.post(shop.url("webhooks", "/endpoints"), json=ENDPOINT)).json()
    partner = (await shop.http.put(shop.url("partners", "/partners/canary"), json=PARTNER)).json()
    assert (await shop.http.delete(shop.url("webhooks", f"/endpoints/{endpoint['id']}"))).is_success
    assert (await shop.http.delete(shop.url("partners", "/partners/canary"))).is_success
    return {"an endpoint's secret": endpoint["secret"], "a partner's secret": partner["secret"]}


async def _work(shop: Shop, canaries: Canaries) -> Mapping[str, str]:
    """Have a customer served, who tells of himself wherever one can, and return what others were refused with."""
    order = {**shop.body({"margherita": 1}), "customer": canaries.person, "address": canaries.address}
    placed = await shop.post_order(order, f"key-{canaries.word}")
    assert placed.status_code == 202, placed.text
    await shop.complete(placed.json()["id"])
    review = {"order": placed.json()["id"], "customer": canaries.person, "stars": 1, "text": canaries.said("Cold.")}
    assert (await shop.http.post(shop.url("reviews", "/reviews"), json=review)).status_code == 202
    item = {"item": "water", "customer": canaries.person}
    assert (await shop.http.post(shop.url("carts", f"/carts/{canaries.customer}/items"), json=item)).status_code == 202

    async def mailed() -> bool:
        return bool(await shop.mails(canaries.person["email"]))

    await eventually(mailed, what="the mail to who has ordered")
    return await _refused(shop, order, canaries)


async def _refused(shop: Shop, order: dict[str, object], canaries: Canaries) -> Mapping[str, str]:
    async with httpx.AsyncClient() as nobody:
        form = {"grant_type": "client_credentials", "client_id": "orders", "client_assertion": canaries.word}
        answers = {
            "a token that is none": await nobody.get(
                shop.url("orders", "/orders"), headers={"Authorization": f"Bearer {canaries.word}.{canaries.word}.x"}
            ),
            "an assertion that is none": await nobody.post(f"{shop.url('identity')}/token", data=form),
            "a wrong quantity": await shop.post_order({**order, "lines": [{"item": "margherita", "quantity": 0}]}),
            "a wrong field": await shop.post_order({**order, "fulfilment": canaries.address}),
            "a body that is none": await shop.http.post(
                shop.url("orders", "/orders"),
                content=json.dumps(order)[:-1],
                headers={"Content-Type": "application/json"},
            ),
            "a key that is another order's": await shop.post_order({**order, "lines": []}, f"key-{canaries.word}"),
        }
    assert {name: answer.is_client_error for name, answer in answers.items()} == dict.fromkeys(answers, True)
    return {name: answer.text for name, answer in answers.items()}


def _drawn(shop: Shop) -> dict[str, str]:
    """Secrets of the installation: passwords of roles, of users and of people, and whatever is private of a key."""
    known = {f"password of {role} in Postgres": shop.system.passwords.of(role) for role in every_role(CATALOGUE)}
    known |= {f"password of {user} in Kafka": shop.system.kafka.password(user) for user in (*CATALOGUE, OPERATOR)}
    identity = shop.system.identity
    known |= {f"password of {name}": (identity / "people" / name / "password").read_text().strip() for name in people()}
    for folder in (identity, shop.system.kafka.keys):
        known |= dict(_private(folder))
    stored = json.loads((identity / "keys.json").read_text())["keys"]
    return known | {f"key {each['jwk']['kid']} of the issuer": each["jwk"]["d"] for each in stored}


def _private(folder: Path) -> Iterator[tuple[str, str]]:
    for file in folder.rglob("*.pem"):
        _, marked, after = file.read_text().partition("PRIVATE KEY-----\n")
        if marked:
            yield f"{file.relative_to(folder)}", after.splitlines()[0]
