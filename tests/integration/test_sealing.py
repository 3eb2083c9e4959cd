"""What is a customer's own: sealed in every row, read by whoever shows or sends it, and gone with its key."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from backbone.context import Context
from backbone.identity.own_token import OwnToken
from backbone.ids import new_id
from backbone.jobs.worker import Worker
from backbone.sealing import sealing
from backbone.sealing.sealing import Sealing, WrongMasterKey
from backbone.settings import Settings
from backbone.values.sealed import FORGOTTEN, UNREADABLE, holds_sealed
from deployment.catalogue import sample_of
from local.ports import HOST, free_port
from sandbox.mail import smtp_server
from services.carts.service import SERVICE as CARTS
from services.delivery.service import SERVICE as DELIVERY
from services.notifications.service import SERVICE as NOTIFICATIONS
from services.orders import following
from services.orders.service import SERVICE as ORDERS
from services.reviews.service import SERVICE as REVIEWS
from tests.canaries import Canaries, tables_with
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed, serving, until_a_lock_is_awaited
from tests.integration.test_notifications import Choosy
from tests.integration.things import running
from tests.issuing import SOMEBODY, as_customer, by
from tests.processes import MASTER_KEY
from tests.waiting import eventually

CONFIRMED = "sliceline.orders.order-confirmed.v2"
UNUSED = "postgresql://unused"
FORGOT = "sliceline.orders.customer-forgotten.v1"


@pytest.fixture(autouse=True)
def master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLICELINE_MASTER_KEY", MASTER_KEY)


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody remembers a key: what was destroyed elsewhere is gone at once."""
    monkeypatch.setattr(sealing, "KEPT", 0.0)


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
async def orders(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(ORDERS, new_database) as service:
        yield service


async def place(orders: Fed, canaries: Canaries, key: str = "", status: int = 202, asking: str = "") -> httpx.Response:
    """Order as the customer herself, or as somebody else who asks in her name."""
    body = {
        "customer": canaries.person,
        "currency": "GBP",
        "address": canaries.address,
        "lines": [{"item": "margherita", "quantity": 1}],
    }
    who = by(asking) if asking else as_customer(canaries.customer)
    sent = who | ({"Idempotency-Key": key} if key else {})
    answer = await orders.client.post("/orders", json=body, headers=sent)
    assert answer.status_code == status, answer.text
    return answer


async def forget(orders: Fed, canaries: Canaries) -> int:
    answer = await orders.client.post(f"/customers/{canaries.customer}/forget", headers=by("ann"))
    assert answer.status_code == 202, answer.text
    return int(answer.json()["destroyed"])


async def in_clear(service: Fed, canaries: Canaries) -> list[str]:
    """Where in a service's database a canary stands."""
    async with service.database.transaction() as tx:
        return await tables_with(tx.raw, canaries)


def is_shown(document: dict[str, Any], canaries: Canaries) -> bool:
    return bool(document["customer"] == canaries.person and document["address"] == canaries.address)


def is_forgotten(document: dict[str, Any], canaries: Canaries) -> bool:
    who = {"id": canaries.customer, "name": FORGOTTEN, "email": FORGOTTEN}
    return bool(document["customer"] == who and document["address"] == FORGOTTEN)


async def test_an_order_is_answered_in_clear_and_stored_and_told_sealed(orders: Fed, canaries: Canaries) -> None:
    placed = await place(orders, canaries, key=new_id())
    order = placed.json()["id"]
    assert is_shown(placed.json(), canaries)
    assert is_shown((await orders.client.get(f"/orders/{order}")).json(), canaries)
    [listed] = (await orders.client.get("/orders", params={"customer": canaries.customer})).json()["items"]
    assert is_shown(listed, canaries)
    assert await in_clear(orders, canaries) == []
    [(_, event)] = await orders.published(order)
    texts = [event["customer"]["name"], event["customer"]["email"], event["address"]]
    assert all(map(holds_sealed, texts))
    assert event["customer"]["id"] == canaries.customer


async def test_what_a_customer_has_typed_is_opened_as_a_text_and_nothing_more(orders: Fed, canaries: Canaries) -> None:
    canaries.person["name"] = 'Ada", "email": "eve@example.com", "\\'
    placed = await place(orders, canaries)
    assert is_shown(placed.json(), canaries)
    assert is_shown((await orders.client.get(f"/orders/{placed.json()['id']}")).json(), canaries)


async def test_nothing_is_taken_in_while_the_master_key_cannot_be_read(
    new_database: NewDatabase, canaries: Canaries, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "master-key"
    file.write_text(MASTER_KEY)
    monkeypatch.delenv("SLICELINE_MASTER_KEY")
    monkeypatch.setenv("SLICELINE_MASTER_KEY_FILE", str(file))
    async with fed(ORDERS, new_database) as orders:
        file.rename(away := tmp_path / "away")
        await place(orders, canaries, status=503)
        assert await in_clear(orders, canaries) == []
        away.rename(file)
        await place(orders, canaries)
        assert await in_clear(orders, canaries) == []


async def test_who_follows_orders_sees_them_in_clear(orders: Fed, canaries: Canaries) -> None:
    placed = [(await place(orders, canaries)).json()["id"] for _ in range(3)]
    context = Context(ORDERS.settings(database_url=UNUSED), orders.database)
    found = await following.find(context, [*placed, "unknown"])
    assert found[3] is None
    shown = [json.loads(each.document) for each in found[:3] if each]
    assert [each["id"] for each in shown if is_shown(each, canaries)] == placed


async def test_a_forgotten_customer_is_read_nowhere_and_an_answer_kept_under_a_key_neither(
    orders: Fed, canaries: Canaries
) -> None:
    key = new_id()
    first = await place(orders, canaries, key)
    again = await place(orders, canaries, key)
    assert (again.content, again.headers["Idempotency-Replayed"]) == (first.content, "true")
    assert await forget(orders, canaries) == 1
    assert is_forgotten((await place(orders, canaries, key)).json(), canaries)
    order = first.json()["id"]
    assert is_forgotten((await orders.client.get(f"/orders/{order}")).json(), canaries)
    [(event_type, told)] = await orders.published(canaries.customer)
    assert (event_type, told) == (FORGOT, {"customer_id": canaries.customer, "by": "ann"})
    [destroyed, *_] = await orders.database.fetch("SELECT wrapped FROM data_keys ORDER BY made_at")
    assert destroyed["wrapped"] is None


async def test_who_is_forgotten_twice_is_forgotten_once_and_may_come_back(orders: Fed, canaries: Canaries) -> None:
    before = (await place(orders, canaries)).json()["id"]
    assert [await forget(orders, canaries) for _ in range(2)] == [1, 0]
    after = (await place(orders, canaries)).json()["id"]
    assert is_shown((await orders.client.get(f"/orders/{after}")).json(), canaries)
    assert is_forgotten((await orders.client.get(f"/orders/{before}")).json(), canaries)
    keys = (await orders.client.get("/data-keys/of", params={"person": canaries.customer})).json()["items"]
    assert [each["forgotten_at"] is None for each in keys] == [False, True]


async def test_an_order_that_is_refused_for_what_it_asks_leaves_no_key_behind(orders: Fed, canaries: Canaries) -> None:
    body = {"customer": canaries.person, "address": canaries.address}
    sent = as_customer(canaries.customer)
    for currency, item in (("GBP", "brick"), ("EUR", "margherita")):
        wanted = {"currency": currency, "lines": [{"item": item, "quantity": 1}]}
        assert (await orders.client.post("/orders", json={**body, **wanted}, headers=sent)).status_code == 422
    assert await orders.database.fetch("SELECT name FROM data_keys") == []


async def test_a_key_that_a_refused_command_left_behind_is_destroyed_as_any_other(
    orders: Fed, canaries: Canaries
) -> None:
    key = new_id()
    await place(orders, Canaries(), key, asking=SOMEBODY)
    await place(orders, canaries, key, status=422, asking=SOMEBODY)
    assert await forget(orders, canaries) == 1


async def test_an_address_is_never_sealed_for_another_than_the_carts_customer(
    new_database: NewDatabase, canaries: Canaries
) -> None:
    async with fed(CARTS, new_database) as carts:
        cart, other = await _filled(carts, canaries), Canaries()
        async with carts.database.transaction() as tx:
            await tx.raw.execute("UPDATE carts SET customer = $1 WHERE id = $2", json.dumps(other.person), cart)
            checkout = asyncio.create_task(_checked_out(carts, cart, canaries))
            await until_a_lock_is_awaited(carts.database)
        assert ((await checkout).status_code, (await checkout).json()["title"]) == (409, "Other customer")
        assert await carts.database.fetch("SELECT key FROM jobs") == []
        assert (await _checked_out(carts, cart, canaries)).status_code == 202
        [job] = await carts.database.fetch("SELECT data FROM jobs")
        [key] = await carts.database.fetch("SELECT name FROM data_keys WHERE person = $1", other.customer)
        assert job["data"]["order"]["address"].startswith(f"sealed:1:{key['name']}:")


async def test_a_checkout_by_nobody_in_particular_makes_no_key(new_database: NewDatabase, canaries: Canaries) -> None:
    async with fed(CARTS, new_database) as carts:
        cart = new_id()
        assert (await carts.client.post(f"/carts/{cart}/items", json={"item": "water"})).status_code == 202
        assert (await _checked_out(carts, cart, canaries)).status_code == 422
        keys = await carts.database.fetch("SELECT person FROM data_keys")
        assert [key["person"] for key in keys] == [SOMEBODY]  # who was refused, in the log of acts


async def test_orders_of_one_moment_share_their_customers_one_key(orders: Fed, canaries: Canaries) -> None:
    placed = await asyncio.gather(*(place(orders, canaries) for _ in range(20)))
    assert all(is_shown(each.json(), canaries) for each in placed)
    assert len(await orders.database.fetch("SELECT name FROM data_keys")) == 1


async def test_two_processes_that_meet_a_new_customer_agree_on_one_key(orders: Fed, canaries: Canaries) -> None:
    settings = ORDERS.settings(database_url=UNUSED)
    two = [Context(settings, orders.database).sealing for _ in range(2)]
    seals = await asyncio.gather(*(each.seal_of(canaries.customer) for each in two for _ in range(10)))
    names = {seal("a text").split(":")[2] for seal in seals}
    assert len(names) == 1


async def test_a_review_and_its_case_are_sealed_and_forgotten_as_orders_tells(
    new_database: NewDatabase, canaries: Canaries
) -> None:
    async with fed(REVIEWS, new_database) as reviews:
        body = {"order": new_id(), "customer": canaries.person, "stars": 1, "text": canaries.said("It was cold,")}
        review = (await reviews.client.post("/reviews", json=body)).headers["Location"]
        async with working(reviews, "analyse"):
            await eventually(lambda: _has_label(reviews, review), 20)
        case = f"/cases/{review.rpartition('/')[2]}"
        said = {"note": canaries.said("Called"), "points": 1}
        assert (await reviews.client.post(f"{case}/resolve", json=said)).json()["note"] == said["note"]
        shown = (await reviews.client.get(case)).json()
        assert (shown["customer"], shown["text"], shown["note"]) == (canaries.person, body["text"], said["note"])
        assert await in_clear(reviews, canaries) == []
        await _forget_by_event(reviews, canaries)
        shown = (await reviews.client.get(case)).json()
        assert (shown["customer"]["name"], shown["text"], shown["note"]) == (FORGOTTEN, FORGOTTEN, FORGOTTEN)


async def test_a_cart_is_sealed_and_ordered_in_clear(new_database: NewDatabase, canaries: Canaries) -> None:
    orders_url = await asyncio.to_thread(new_database, "orders")
    async with fed(CARTS, new_database) as carts:
        with serving(ORDERS, orders_url) as url:
            cart = await _check_out(carts, canaries)
            async with working(carts, "place", orders_url=url):
                order = await eventually(lambda: _order_of(carts, cart), 20)
            async with httpx.AsyncClient(headers=by(SOMEBODY)) as client:
                assert is_shown((await client.get(f"{url}/orders/{order}")).json(), canaries)
        assert (await carts.client.get(f"/carts/{cart}")).json()["customer"] == canaries.person
        assert await in_clear(carts, canaries) == []


async def test_a_key_made_since_a_customer_was_forgotten_stays(new_database: NewDatabase, canaries: Canaries) -> None:
    async with fed(CARTS, new_database) as carts:
        cart = await _check_out(carts, canaries)
        await carts.feed((FORGOT, {"customer_id": canaries.customer, "by": "ann"}))  # it tells of weeks ago
        assert (await carts.client.get(f"/carts/{cart}")).json()["customer"] == canaries.person


async def test_a_mail_is_stored_sealed_and_sent_in_clear_and_to_somebody_forgotten_not_at_all(
    new_database: NewDatabase, canaries: Canaries
) -> None:
    async with _told_of_an_order(new_database, canaries) as (mails, orders, inbox):
        await _until(mails, "sent")
        [mail] = inbox.newest(0, 10)
        assert mail.to[0]["Address"] == canaries.person["email"]
        assert f"Hello {canaries.person['name']}," in mail.text
        assert f"We bring it to {canaries.address}." in mail.text
        assert await in_clear(mails, canaries) == []
        [notification] = (await mails.client.get("/notifications")).json()["items"]
        assert notification["recipient"] == canaries.person["email"]
        assert holds_sealed((await mails.published(notification["id"]))[-1][1]["recipient"])
        late = await _confirmed(orders, canaries)
        assert await forget(orders, canaries) == 1
        await mails.feed((CONFIRMED, late))
        assert (await _until(mails, "ignored"))["reason"] == "The customer was forgotten."
        shown = (await mails.client.get("/notifications")).json()["items"]
        assert [each["recipient"] for each in shown] == [FORGOTTEN] * 2
        assert canaries.word not in str(shown)
        assert inbox.newest(0, 10) == [mail]
        assert await mails.database.fetch("SELECT id FROM jobs") == []


async def test_a_mail_waits_for_whoever_keeps_its_key(new_database: NewDatabase, canaries: Canaries) -> None:
    async with _told_of_an_order(new_database, canaries, reachable=False) as (mails, _, inbox):
        tried = await eventually(lambda: _error_of_a_job(mails), 20)
        assert tried.startswith("KeysAway: ")
        assert (await _until(mails, "queued"))["body"].startswith(f"Hello {UNREADABLE},")
        assert inbox.newest(0, 10) == []
        assert await in_clear(mails, canaries) == []


async def test_what_a_mail_server_says_of_a_recipient_is_kept_without_the_address(
    new_database: NewDatabase, canaries: Canaries
) -> None:
    gone, out = canaries.person["email"], (other := Canaries()).person["email"]
    answers = {gone: f"550 <{gone.upper()}> lives here no more", out: f"450 {out.partition('@')[0]} is out"}
    async with _told_of_an_order(new_database, canaries, answers=answers) as (mails, orders, _):
        await mails.feed((CONFIRMED, await _confirmed(orders, other)))
        assert (await _until(mails, "failed"))["reason"].endswith("550 <the recipient> lives here no more")
        said = await eventually(lambda: _error_of_a_job(mails), 20)
        assert "the recipient is out" in said
        assert await in_clear(mails, canaries) == await in_clear(mails, other) == []


async def test_deliveries_show_where_to_go_as_long_as_somebody_may_know(
    new_database: NewDatabase, canaries: Canaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders_url = await asyncio.to_thread(new_database, "orders")
    with serving(ORDERS, orders_url) as url:
        monkeypatch.setenv("SLICELINE_SERVICES", f"orders={url}")
        async with fed(DELIVERY, new_database) as delivery, _orders_on(orders_url) as orders:
            await delivery.feed((CONFIRMED, await _confirmed(orders, canaries)))
            assert await _board(delivery) == (canaries.person["name"], canaries.address)
            assert await in_clear(delivery, canaries) == []
            await forget(orders, canaries)
            assert await _board(delivery) == (FORGOTTEN, FORGOTTEN)
        monkeypatch.setenv("SLICELINE_SERVICES", f"orders=http://{HOST}:{free_port()}")
        async with fed(DELIVERY, new_database) as delivery, _orders_on(orders_url) as orders:
            await delivery.feed((CONFIRMED, await _confirmed(orders, canaries)))
            assert await _board(delivery) == (UNREADABLE, UNREADABLE)


async def test_a_wrong_master_key_reads_nothing_and_loses_nothing(
    new_database: NewDatabase, canaries: Canaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await asyncio.to_thread(new_database, "orders")
    async with _orders_on(url) as orders:
        order = (await place(orders, canaries)).json()["id"]
        with monkeypatch.context() as patch:
            patch.setenv("SLICELINE_MASTER_KEY", "b29vb29vb29vb29vb29vb29vb29vb29vb29vb29vb28=")
            async with _orders_on(url) as wrong:
                shown = (await wrong.client.get(f"/orders/{order}")).json()
                await place(wrong, canaries, status=503)
                await place(wrong, other := Canaries())
        listed = (await orders.client.get("/orders")).json()["items"]
        assert {each["customer"]["id"]: each["customer"]["name"] for each in listed} == {
            canaries.customer: canaries.person["name"],
            other.customer: UNREADABLE,
        }
        assert shown["customer"] == {"id": canaries.customer, "name": UNREADABLE, "email": UNREADABLE}
        assert is_shown((await orders.client.get(f"/orders/{order}")).json(), canaries)


@pytest.mark.parametrize(
    ("given", "says"),
    [("b29vb29vb29vb29vb29vb29vb29vb29vb29vb29vb28=", "under another master key"), (None, "there is no master key")],
)
async def test_a_service_that_lacks_the_master_key_of_its_data_keys_does_not_start(
    orders: Fed, canaries: Canaries, given: str | None, says: str
) -> None:
    await place(orders, canaries)
    ours = ORDERS.settings(database_url=UNUSED)
    await sealing_of(orders, ours).check()
    theirs = ours.model_copy(update={"master_key": given and SecretStr(given), "master_key_file": None})
    with pytest.raises(WrongMasterKey, match=says):
        await sealing_of(orders, theirs).check()


def sealing_of(orders: Fed, settings: Settings) -> Sealing:
    own_token = OwnToken("orders", settings, httpx.AsyncClient)
    return Sealing(settings, orders.database, httpx.AsyncClient, own_token)


async def test_a_data_key_is_on_the_disk_before_anything_is_sealed_with_it(orders: Fed, canaries: Canaries) -> None:
    [before] = await orders.database.fetch("SELECT pg_current_wal_insert_lsn() AS end")
    await sealing_of(orders, ORDERS.settings(database_url=UNUSED)).seal_of(canaries.customer)
    [after] = await orders.database.fetch("SELECT pg_current_wal_flush_lsn() > $1 AS is_there", before["end"])
    assert after["is_there"]


@asynccontextmanager
async def working(service: Fed, kind: str, **settings: Any) -> AsyncIterator[None]:
    """A worker of the service is at the jobs of a kind."""
    given = service.service.settings(database_url=UNUSED, **settings)
    context = Context(given, service.database)
    try:
        async with running(Worker(kind, service.service.jobs[kind], context)):
            yield
    finally:
        for client in context.clients.values():
            await client.aclose()


@asynccontextmanager
async def _orders_on(url: str) -> AsyncIterator[Fed]:
    """Orders on a database that is there already."""
    async with fed(ORDERS, lambda _: url) as orders:
        yield orders


@asynccontextmanager
async def _told_of_an_order(
    new_database: NewDatabase,
    canaries: Canaries,
    *,
    reachable: bool = True,
    answers: dict[str, str] | None = None,
) -> AsyncIterator[tuple[Fed, Fed, Choosy]]:
    """Notifications with a mail about an order to send, the orders that keeps the key, and the mail server."""
    inbox, smtp_port = Choosy(), free_port()
    inbox.answers |= answers or {}
    orders_url = await asyncio.to_thread(new_database, "orders")
    with serving(ORDERS, orders_url) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLICELINE_SERVICES", f"orders={url if reachable else f'http://{HOST}:{free_port()}'}")
        async with fed(NOTIFICATIONS, new_database) as mails, _orders_on(orders_url) as orders:
            await mails.feed((CONFIRMED, await _confirmed(orders, canaries)))
            async with smtp_server(inbox, HOST, smtp_port), working(mails, "send", smtp_port=smtp_port):
                yield mails, orders, inbox


async def _confirmed(orders: Fed, canaries: Canaries) -> dict[str, Any]:
    """The event of a confirmed order, with what orders has sealed."""
    order = (await place(orders, canaries)).json()["id"]
    [(_, placed)] = await orders.published(order)
    return {**sample_of(CONFIRMED), **{name: placed[name] for name in ("order", "customer", "address")}}


async def _until(mails: Fed, status: str) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        items = (await mails.client.get("/notifications")).json()["items"]
        return next((each for each in items if each["status"] == status), None)

    return await eventually(found, 20, what=f"a mail that is {status}")


async def _error_of_a_job(service: Fed) -> str | None:
    rows = await service.database.fetch("SELECT error FROM jobs")
    return rows[0]["error"] if rows else None


async def _board(delivery: Fed) -> tuple[str, str]:
    [item] = (await delivery.client.get("/deliveries")).json()["items"]
    return item["customer_name"], item["address"]


async def _has_label(reviews: Fed, review: str) -> bool:
    return bool((await reviews.client.get(review)).json()["label"])


async def _check_out(carts: Fed, canaries: Canaries) -> str:
    cart = await _filled(carts, canaries)
    assert (await _checked_out(carts, cart, canaries)).status_code == 202
    return cart


async def _checked_out(carts: Fed, cart: str, canaries: Canaries) -> httpx.Response:
    terms = {"currency": "GBP", "address": canaries.address}
    return await carts.client.post(f"/carts/{cart}/checkout", json=terms)


async def _filled(carts: Fed, canaries: Canaries) -> str:
    cart = new_id()
    added = {"item": "margherita", "customer": canaries.person}
    assert (await carts.client.post(f"/carts/{cart}/items", json=added)).status_code == 202
    return cart


async def _order_of(carts: Fed, cart: str) -> str | None:
    order: str | None = (await carts.client.get(f"/carts/{cart}")).json()["checkout"]["order"]
    return order


async def _forget_by_event(service: Fed, canaries: Canaries) -> None:
    """Have a service hear that a customer was forgotten, whose key it has had for long."""
    await service.database.fetch("UPDATE data_keys SET made_at = '2026-01-01'")
    await service.feed((FORGOT, {"customer_id": canaries.customer, "by": "ann"}))
