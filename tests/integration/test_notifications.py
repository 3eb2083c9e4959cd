"""Notifications: real SMTP to a real mail server, with a real database and the real worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from backbone.context import Context
from backbone.ids import new_id
from backbone.jobs.worker import Worker
from backbone.values.texts import is_email, one_line
from deployment.catalogue import sample_of
from local.ports import free_port
from sandbox.mail import Inbox, Mail, smtp_server
from services.notifications import jobs
from services.notifications.decisions import money
from services.notifications.events import Money
from services.notifications.service import SERVICE
from services.notifications.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.things import running
from tests.waiting import eventually

CONFIRMED = "sliceline.orders.order-confirmed.v2"
REJECTED = "sliceline.orders.order-rejected.v1"
CANCELLED = "sliceline.orders.order-cancelled.v1"
BACKORDERED = "sliceline.orders.order-backordered.v1"
REFUNDED = "sliceline.orders.order-refunded.v1"
DELAYED = "sliceline.orders.order-delayed.v1"
BALANCE_BROKEN, BALANCE_RESTORED = "sliceline.ledger.balance-broken.v1", "sliceline.ledger.balance-restored.v1"
REMINDER = "sliceline.reminders.cart-reminder-due.v1"
ALERT = "sliceline.alerts.stock-alert-raised.v1"
Told = tuple[str, dict[str, Any]]
ODD = "=?utf-8?q??=@x.example"
"""Python's parser of headers stumbles over it with an IndexError."""


FORGED = "x@=?utf-8?q?example.com=0D=0ABcc=3A_evil=40x.example?="
"""Some Pythons write a Bcc of its own for it."""


def customer(**changes: str) -> dict[str, str]:
    return {"id": "ada", "name": "Ada", "email": "ada@example.com"} | changes


def confirmed(order: str, **changes: str) -> Told:
    return CONFIRMED, {
        "order": order,
        "customer": customer(**changes),
        "fulfilment": "delivery",
        "address": "1 Mill Lane",
        "lines": [
            {"item": "margherita", "quantity": 2, "unit_price": {"amount": 1200, "currency": "GBP"}, "baked": True}
        ],
        "total": {"amount": 2400, "currency": "GBP"},
    }


def ended(event_type: str, order: str, reason: str, **changes: str) -> Told:
    return event_type, {"order": order, "customer": customer(**changes), "reason": reason}


def analysed(order: str, label: str) -> Told:
    review = {"review": new_id(), "order": order, "customer": customer(), "stars": None, "score": 0.5, "label": label}
    return "sliceline.reviews.review-analysed.v1", review


def alert(sku: str, kind: str = "low") -> Told:
    facts = {"available": 8, "threshold": 10, "ceiling": 500, "channel": "shop-till"}
    return ALERT, {"sku": sku, "kind": kind} | facts


class Choosy(Inbox):
    """A mail server that answers RCPT for some addresses as it is told to, hangs up at others, or says nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, str] = {}
        self.hangs_up: set[str] = set()
        self.stalls: set[str] = set()
        self.asked = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it so
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        self.asked += 1
        if address in self.hangs_up:
            assert server.transport
            server.transport.close()
        if address in self.stalls:
            await asyncio.Event().wait()  # until the client hangs up
        if refusal := self.answers.get(address):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"


@dataclass
class Desk:
    """Notifications and the mail server."""

    service: Fed
    context: Context[Settings]
    inbox: Choosy = field(default_factory=Choosy)

    async def listed(self, about: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]]
        items = (await self.service.client.get("/notifications", params={"about": about})).json()["items"]
        return items

    async def until(self, about: str, status: str) -> dict[str, Any]:
        async def found() -> dict[str, Any] | None:
            return next((each for each in await self.listed(about) if each["status"] == status), None)

        return await eventually(found, 20, what=f"a mail about {about} that is {status}")

    def mails(self) -> list[Mail]:
        return self.inbox.newest(0, 100)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        async with running(Worker("send", SERVICE.jobs["send"], self.context)):
            yield

    @asynccontextmanager
    async def mail_server(self) -> AsyncIterator[None]:
        async with smtp_server(self.inbox, "127.0.0.1", self.context.settings.smtp_port):
            yield

    @asynccontextmanager
    async def mail_server_for(self, most: int) -> AsyncIterator[list[int]]:
        """A mail server that turns away whoever comes when `most` connections are open; yields how many were."""
        counts, port = [0], free_port()

        async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65_536):
                writer.write(data)
            writer.close()

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if counts[-1] == most:
                writer.write(b"421 Too many connections\r\n")
                writer.close()
                return
            counts.append(counts[-1] + 1)
            back, forth = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(pipe(reader, forth), pipe(back, writer))
            counts.append(counts[-1] - 1)

        async with (
            smtp_server(self.inbox, "127.0.0.1", port),
            await asyncio.start_server(relay, "127.0.0.1", self.context.settings.smtp_port),
        ):
            yield counts


@pytest.fixture
async def desk(new_database: NewDatabase) -> AsyncIterator[Desk]:
    async with fed(SERVICE, new_database) as service:
        settings = Settings(database_url="postgresql://unused", smtp_port=free_port())
        yield Desk(service, Context(settings, service.database))


@pytest.fixture
async def open_desk(desk: Desk) -> AsyncIterator[Desk]:
    """With the mail server up and the worker at it."""
    async with desk.mail_server(), desk.working():
        yield desk


async def test_a_confirmed_order_is_mailed_and_that_is_told(open_desk: Desk) -> None:
    order = new_id()
    await open_desk.service.feed(confirmed(order))
    sent = await open_desk.until(order, "sent")
    (mail,) = open_desk.mails()
    assert (mail.subject, mail.to[0]["Address"]) == ("Your order is confirmed", "ada@example.com")
    assert mail.sender == {"Name": "Sliceline", "Address": "shop@sliceline.example"}
    assert mail.message_id == f"{sent['id']}@sliceline.example"
    assert mail.text.splitlines() == [
        "Hello Ada,",
        "",
        "Thank you! Your order is confirmed:",
        "",
        "  2 x margherita",
        "",
        "Total: 24.00 GBP",
        "",
        "We bring it to 1 Mill Lane.",
        "",
        f"Your order number is {order}.",
        "",
        "Sliceline",
    ]
    said = {"notification": sent["id"], "kind": "order-confirmed", "recipient": "ada@example.com", "about": order}
    versions = [f"sliceline.notifications.notification-sent.v{number}" for number in (1, 2, 3)]
    assert await open_desk.service.published(sent["id"]) == [(version, said) for version in versions]


@pytest.mark.parametrize(
    ("event_type", "subject"), [(REJECTED, "We cannot make your order"), (CANCELLED, "Your order is cancelled")]
)
async def test_an_order_that_ends_is_mailed_with_its_reason(open_desk: Desk, event_type: str, subject: str) -> None:
    order = new_id()
    await open_desk.service.feed(ended(event_type, order, "No more mozzarella"))
    await open_desk.until(order, "sent")
    (mail,) = open_desk.mails()
    assert mail.subject == subject
    assert "The reason: No more mozzarella" in mail.text
    assert order in mail.text


@pytest.mark.parametrize(
    "reason", ["Still placed after 300 seconds, waiting for payment.", "so\nBcc: eve@example.com", ""], ids=ascii
)
async def test_an_order_that_is_late_is_mailed_to_the_shop_and_not_to_the_customer(
    open_desk: Desk, reason: str
) -> None:
    order = new_id()
    await open_desk.service.feed(ended(DELAYED, order, reason))
    sent = await open_desk.until(order, "sent")
    (mail,) = open_desk.mails()
    assert [to["Address"] for to in mail.to] == ["shop@sliceline.example"]
    assert mail.subject == f"Order delayed: {order}"
    assert "Customer: Ada <ada@example.com>" in mail.text.splitlines()
    assert not reason or f"Reason:   {one_line(reason)}" in mail.text.splitlines()
    versions = [f"sliceline.notifications.notification-sent.v{number}" for number in (2, 3)]
    told = await open_desk.service.published(sent["id"])
    assert [(version, said["kind"]) for version, said in told] == [(version, "order-delayed") for version in versions]


async def test_the_shop_hears_when_events_do_not_add_up_and_which_they_may_be(open_desk: Desk) -> None:
    broken, restored = sample_of(BALANCE_BROKEN), sample_of(BALANCE_RESTORED)
    await open_desk.service.feed((BALANCE_BROKEN, broken), (BALANCE_RESTORED, restored))
    await eventually(lambda: len(open_desk.mails()) == 2, 10)
    mails = {mail.subject: mail for mail in open_desk.mails()}
    assert set(mails) == {"Events do not add up: loyalty", "Events add up again: loyalty"}
    assert all([to["Address"] for to in mail.to] == ["shop@sliceline.example"] for mail in mails.values())
    (difference,) = broken["differences"]
    lines = mails["Events do not add up: loyalty"].text.splitlines()
    assert f"{difference['type']}: 1 missing, 0 twice" in lines
    assert f"  among {difference['candidates'][0]}" in lines


async def test_a_refund_is_mailed_to_the_customer_with_its_amount_and_reason(open_desk: Desk) -> None:
    order = new_id()
    amount = {"amount": 500, "currency": "GBP"}
    data = {"order": order, "customer": customer(), "refund": new_id(), "amount": amount, "reason": "It came cold."}
    await open_desk.service.feed((REFUNDED, data), (REFUNDED, data | {"refund": new_id()}))
    await eventually(lambda: len(open_desk.mails()) == 2, 10)
    for mail in open_desk.mails():
        assert mail.subject == "Your refund of 5.00 GBP"
        assert [to["Address"] for to in mail.to] == ["ada@example.com"]
        assert "The reason: It came cold." in mail.text
        assert order in mail.text
    sent = await open_desk.until(order, "sent")
    [(version, said)] = await open_desk.service.published(sent["id"])
    assert (version, said["kind"]) == ("sliceline.notifications.notification-sent.v3", "order-refunded")


async def test_an_order_that_waits_is_mailed_to_the_customer(open_desk: Desk) -> None:
    order = new_id()
    reason = "Not enough in stock: basil (2 wanted, 0 available)."
    await open_desk.service.feed((BACKORDERED, {"order": order, "customer": customer(), "reason": reason}))
    sent = await open_desk.until(order, "sent")
    (mail,) = open_desk.mails()
    assert [to["Address"] for to in mail.to] == ["ada@example.com"]
    assert mail.subject == "Your order waits for a delivery"
    assert f"The reason: {reason}" in mail.text
    [(version, said)] = await open_desk.service.published(sent["id"])
    assert (version, said["kind"]) == ("sliceline.notifications.notification-sent.v3", "order-backordered")


async def test_a_good_review_is_thanked_for_once_and_no_other_is(open_desk: Desk) -> None:
    orders = {label: new_id() for label in ("neutral", "negative", "positive")}
    records = [open_desk.service.record(*analysed(order, label)) for label, order in orders.items()]
    await open_desk.service.deliver(*records)
    await open_desk.service.deliver(*records)
    sent = await open_desk.until(orders["positive"], "sent")
    (mail,) = open_desk.mails()
    assert (mail.subject, mail.to[0]["Address"]) == ("Thank you for your review", "ada@example.com")
    assert orders["positive"] in mail.text
    for label in ("neutral", "negative"):
        assert await open_desk.listed(orders[label]) == []
    [(version, said)] = await open_desk.service.published(sent["id"])
    assert (version, said["kind"]) == ("sliceline.notifications.notification-sent.v3", "review-thanks")


async def test_a_customer_is_reminded_of_what_is_in_the_cart(open_desk: Desk) -> None:
    cart = new_id()
    await open_desk.service.feed((REMINDER, {**sample_of(REMINDER), "cart": cart}))
    sent = await open_desk.until(cart, "sent")
    (mail,) = open_desk.mails()
    assert ([to["Address"] for to in mail.to], mail.subject) == (["ada@example.com"], "Your cart is waiting")
    assert "  2 x margherita\n  1 x cola" in mail.text.replace("\r\n", "\n")
    [(version, said)] = await open_desk.service.published(sent["id"])
    assert (version, said["kind"], said["about"]) == (
        "sliceline.notifications.notification-sent.v3",
        "cart-reminder",
        cart,
    )


async def test_a_stock_alert_goes_to_the_shop(open_desk: Desk) -> None:
    sku = f"mozzarella-{new_id()[-6:]}"
    await open_desk.service.feed(alert(sku))
    sent = await open_desk.until(sku, "sent")
    (mail,) = open_desk.mails()
    assert (mail.subject, sent["recipient"]) == (f"Low stock: {sku} (8 available)", "shop@sliceline.example")
    assert mail.to[0]["Address"] == "shop@sliceline.example"
    for fact in (f"SKU:       {sku}", "Available: 8", "Threshold: 10", "Channel:   shop-till"):
        assert fact in mail.text.splitlines()


async def test_a_stock_alert_that_was_held_back_says_how_often_it_happened(open_desk: Desk) -> None:
    sku = f"mozzarella-{new_id()[-6:]}"
    event_type, data = alert(sku)
    await open_desk.service.feed((event_type, data | {"times": 9}))
    await open_desk.until(sku, "sent")
    (mail,) = open_desk.mails()
    assert mail.text.splitlines()[0] == "Low stock, 9 times since the last mail."


async def test_an_occurrence_that_comes_twice_is_mailed_once(open_desk: Desk) -> None:
    order, other = new_id(), new_id()
    record = open_desk.service.record(*confirmed(order))
    await open_desk.service.deliver(record)
    await open_desk.service.deliver(record, open_desk.service.record(*confirmed(other)))
    await open_desk.until(order, "sent")
    await open_desk.until(other, "sent")
    assert len(open_desk.mails()) == 2


async def test_what_a_person_typed_forges_no_header_and_no_line(open_desk: Desk) -> None:
    order, name = new_id(), "Ada\r\nBcc: eve@example.com\r\n\r\nhello\u2028x"
    await open_desk.service.feed(ended(CANCELLED, order, "so\nBcc: eve@example.com\r\n.\r\nQUIT", name=name))
    await open_desk.until(order, "sent")
    (mail,) = open_desk.mails()
    assert [to["Address"] for to in mail.to] == ["ada@example.com"]
    assert mail.text.splitlines()[0] == "Hello Ada Bcc: eve@example.com hello x,"
    assert "The reason: so Bcc: eve@example.com . QUIT" in mail.text.splitlines()


@pytest.mark.parametrize(
    "email",
    ["a>b@example.com", "ada@exam\x00ple.com", "a,b@example.com", '"a"@example.com', ODD, FORGED, "test@[IPv6:::]"],
)
async def test_an_address_that_no_server_would_take_fails_at_once(open_desk: Desk, email: str) -> None:
    order = new_id()
    assert not is_email(email)
    if "\x00" not in email:  # Postgres refuses it, and the event is parked
        await open_desk.service.feed(confirmed(order, email=email))
        assert "no address" in (await open_desk.until(order, "failed"))["reason"]
    assert open_desk.inbox.asked == 0


@pytest.mark.parametrize(
    "name",
    ["می\u200cخواهم", "👩\u200d👩\u200d👧\u200d👦", "\U000323af", "two  blanks", "🏴\U000e0067\U000e0062\U000e007f"],
    ids=ascii,
)
async def test_a_name_comes_out_of_the_mail_as_it_was_written(open_desk: Desk, name: str) -> None:
    order = new_id()
    await open_desk.service.feed(confirmed(order, name=name))
    await open_desk.until(order, "sent")
    (mail,) = open_desk.mails()
    assert mail.text.splitlines()[0] == f"Hello {name},"


async def test_an_address_beyond_ascii_is_served(open_desk: Desk) -> None:
    order = new_id()
    await open_desk.service.feed(confirmed(order, email="zoë@exämple.com", name="Zoë 🍕"))
    await open_desk.until(order, "sent")
    (mail,) = open_desk.mails()
    assert (mail.to[0]["Address"], mail.text.splitlines()[0]) == ("zoë@exämple.com", "Hello Zoë 🍕,")


async def test_a_recipient_refused_for_good_fails_with_the_reason(open_desk: Desk) -> None:
    order = new_id()
    open_desk.inbox.answers["ada@example.com"] = "550 5.1.1 no such mailbox"
    await open_desk.service.feed(confirmed(order))
    failed = await open_desk.until(order, "failed")
    assert failed["reason"] == "The mail server refused the recipient: 550 5.1.1 no such mailbox"
    assert (await open_desk.service.published(failed["id"]), open_desk.inbox.asked) == ([], 1)


async def test_a_recipient_refused_for_now_is_tried_again(open_desk: Desk) -> None:
    order = new_id()
    open_desk.inbox.answers["ada@example.com"] = "450 4.2.1 busy"
    await open_desk.service.feed(confirmed(order))
    await eventually(lambda: open_desk.inbox.asked > 0, 10)
    assert [each["status"] for each in await open_desk.listed(order)] == ["queued"]
    open_desk.inbox.answers.clear()
    await open_desk.until(order, "sent")


async def confirm(desk: Desk, *emails: str) -> list[str]:
    """Let an order be confirmed for each address, in this order, before any mail is sent."""
    orders = [new_id() for _ in emails]
    await desk.service.feed(
        *(confirmed(order, email=email) for order, email in zip(orders, emails, strict=True)),
    )
    return orders


@pytest.mark.parametrize("address", [ODD, FORGED, "=?utf-8?b?YQ==?=@example.com", '"test"@iana.org'])
async def test_a_mail_that_an_earlier_release_let_in_fails_alone(desk: Desk, address: str) -> None:
    first, odd, last = await confirm(desk, "a@example.com", "odd@example.com", "b@example.com")
    async with desk.service.database.transaction() as tx:
        await tx.raw.execute("UPDATE notifications SET recipient = $1 WHERE about = $2", address, odd)
    async with desk.mail_server(), desk.working():
        assert "no address" in (await desk.until(odd, "failed"))["reason"]
        for order in (first, last):
            await desk.until(order, "sent")
    assert sorted(mail.to[0]["Address"] for mail in desk.mails()) == ["a@example.com", "b@example.com"]


async def test_a_mail_that_breaks_the_connection_holds_up_no_other(desk: Desk) -> None:
    desk.inbox.hangs_up.add("bad@example.com")
    first, bad, last = await confirm(desk, "a@example.com", "bad@example.com", "b@example.com")
    async with desk.mail_server(), desk.working():
        for order in (first, last):
            await desk.until(order, "sent")
        assert desk.inbox.asked == 3  # at the first attempt
        desk.inbox.hangs_up.clear()
        await desk.until(bad, "sent")
    assert len(desk.mails()) == 3


async def test_mails_that_stall_hold_up_no_other_for_long(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "STEP_SECONDS", 0.2)
    monkeypatch.setattr(jobs, "FLUSH_SECONDS", 0.3)
    desk.inbox.stalls |= {"slow@example.com", "mute@example.com"}
    slow, mute, last = await confirm(desk, "slow@example.com", "mute@example.com", "b@example.com")
    async with desk.mail_server(), desk.working():
        await desk.until(last, "sent")
        desk.inbox.stalls.clear()
        for order in (slow, mute):
            await desk.until(order, "sent")
    assert len(desk.mails()) == 3


@pytest.mark.parametrize("most", [1, 100])
async def test_a_mail_server_may_take_as_few_connections_as_it_likes(desk: Desk, most: int) -> None:
    orders = await confirm(desk, *(f"a{number}@example.com" for number in range(64)))
    async with desk.mail_server_for(most) as open_at_once, desk.working():
        for order in orders:
            assert (await desk.until(order, "sent"))["reason"] is None
    assert desk.inbox.asked == len(orders)  # at the first attempt
    assert max(open_at_once) == min(most, 1 + jobs.MOST_HELPERS)


async def test_a_mail_server_that_is_away_is_waited_for(desk: Desk) -> None:
    order = new_id()
    async with desk.working():
        await desk.service.feed(confirmed(order))
        await asyncio.sleep(0.3)
        async with desk.mail_server():
            await desk.until(order, "sent")
    assert len(desk.mails()) == 1


async def test_notifications_are_paged_with_the_newest_first(desk: Desk) -> None:
    orders = [new_id() for _ in range(3)]
    for order in orders:
        await desk.service.feed(confirmed(order))
    first = (await desk.service.client.get("/notifications", params={"limit": 2})).json()
    rest = (await desk.service.client.get("/notifications", params={"limit": 2, "after": first["next"]})).json()
    assert [each["about"] for each in first["items"] + rest["items"]] == orders[::-1]
    assert rest["next"] is None
    assert (await desk.service.client.get("/notifications", params={"about": "\x00"})).status_code < 500


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (2400, "GBP", "24.00 GBP"),
        (5, "EUR", "0.05 EUR"),
        (1200, "JPY", "1200 JPY"),
        (1500, "KWD", "1.500 KWD"),
        (150000, "PYG", "150000 PYG"),
        (25000000, "IQD", "25000.000 IQD"),
        (12345, "CLF", "1.2345 CLF"),
        (500, "UGX", "500 UGX"),
        (100, "ISK", "100 ISK"),
        (100, "ZZZ", "1.00 ZZZ"),
    ],
)
def test_money_is_written_as_people_write_it(amount: int, currency: str, text: str) -> None:
    assert money(Money(amount, currency)) == text


def test_one_line_is_one_line() -> None:
    assert one_line(" a\x00b\r\n c\x85d\u2029e ") == "a b c d e"
