"""What must hold whatever was done to the shop: asked of all that happened in this run, once it has come to rest."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta

from backbone.events import buses, chain
from backbone.events.envelope import Envelope, name_without_version
from backbone.events.topics import DEFAULT_BUS
from backbone.storage.outbox import counter
from tests.books import Books, Row, books_at_rest
from tests.system import ENDS, Shop

OPEN_TICKETS = ("waiting", "prepared")
OPEN_DELIVERIES = ("ready", "dispatched")
PAID = frozenset({"received"})
HELD = frozenset({"held"})
UNPAID = frozenset({"failed", "withdrawn", "voided", "refunded"})
REPEATED = ("order-delayed", "order-refund-requested", "order-refunded", "refund-paid", "refund-failed")
UNPAYABLE = ("backordered", "rejected", "cancelled")
TOLD = ("order-backordered", "order-confirmed", "order-rejected", "order-cancelled")


async def assert_sound(shop: Shop, *, within: float = 90.0, mails_may_repeat: bool = False) -> None:
    """Waits until everything has come to rest and fails with a list of every promise that is not kept.

    `mails_may_repeat`: a process that was killed may have handed over a mail twice, with one Message-ID. Keys in
    `shop.spoilt` are left out.
    """
    books = await books_at_rest(shop, within)
    problems = list(broken_promises(books, shop.spoilt))
    if not mails_may_repeat:
        problems += _mailed_once(books)
    assert not problems, "\n".join([f"{len(problems)} promises broken:", *problems[:30]])


def broken_promises(books: Books, spoilt: set[str]) -> Iterator[str]:
    """A sentence about everything in the books that should not be."""
    for check in CHECKS:
        yield from check(books, spoilt)


Check = Callable[[Books, set[str]], Iterator[str]]


def _orders_have_an_end(books: Books, spoilt: set[str]) -> Iterator[str]:
    """Or wait for stock, or for a button, which then can be pressed."""
    waiting = books.by_id("backorders").keys()
    tickets, deliveries = books.by_id("tickets"), books.by_id("deliveries")
    for order in books.tables["orders"]:
        ticket = tickets.get(order["id"], {}).get("status")
        delivery = deliveries.get(order["id"], {}).get("status")
        pressable = ticket in OPEN_TICKETS or delivery in OPEN_DELIVERIES
        waits = order["status"] not in ENDS
        if (order["status"] == "backordered") != (order["id"] in waiting):
            yield f"order {order['id']} is {order['status']}, and waits for stock: {order['id'] in waiting}"
        elif order["status"] == "backordered":
            continue
        elif order["status"] in ("placed", "cancelling"):
            yield f"order {order['id']} is left {order['status']}, it knows {order['facts']}"
        elif waits != pressable and order["id"] not in spoilt:
            yield f"order {order['id']} is {order['status']}, its ticket {ticket}, its delivery {delivery}"


def _stock_adds_up(books: Books, spoilt: set[str]) -> Iterator[str]:
    counted: dict[str, Counter[str]] = {"open": Counter(), "sold": Counter(), "released": Counter()}
    for reservation in books.tables["reservations"]:
        for line in reservation["lines"]:
            counted[reservation["status"]][line["sku"]] += line["quantity"]
    for stock in books.tables["stock"]:
        sku, counts = stock["sku"], {name: value for name, value in stock.items() if name not in ("sku", "adjusted")}
        if stock["on_hand"] + stock["sold"] != stock["initial"] + stock["adjusted"]:
            yield f"stock of {sku} does not add up: {stock}"
        if min(counts.values()) < 0 or stock["on_hand"] < stock["reserved"]:
            yield f"stock of {sku} is negative: {stock}"
        if (stock["reserved"], stock["sold"]) != (counted["open"][sku], counted["sold"][sku]):
            yield f"stock of {sku} is {stock}, its reservations are {[(how, counted[how][sku]) for how in counted]}"


def _reservations_follow_orders(books: Books, spoilt: set[str]) -> Iterator[str]:
    expected = {
        "backordered": (None,),
        "completed": ("sold",),
        "rejected": ("released", None),
        "cancelled": ("released", None),
    }
    reservations = books.by_id("reservations")
    for order in books.tables["orders"]:
        found = reservations.get(order["id"], {}).get("status")
        if found not in expected.get(order["status"], ("open",)) and order["id"] not in spoilt:
            yield f"order {order['id']} is {order['status']}, its reservation {found}"


def _charged_once(books: Books, spoilt: set[str]) -> Iterator[str]:
    """Nobody twice; who gets something pays, who gets nothing does not; the payment says what the ledger says."""
    entries = defaultdict(list)
    for entry in books.ledger:
        entries[entry["reference"]].append(entry)
    payments, refunded = books.by_id("payments"), _refunded(books)
    for order in books.tables["orders"]:
        mine = Counter(entry["kind"] for entry in entries[order["id"]])
        kept = sum(
            entry["amount"]["amount"] * {"charge": 1, "refund": -1}.get(entry["kind"], 0)
            for entry in entries[order["id"]]
            if entry["amount"]
        )
        pays = order["status"] not in UNPAYABLE
        payment = payments.get(order["id"], {}).get("status")
        if mine["charge"] > 1 or not 0 <= kept <= order["total"]:
            yield f"order {order['id']} has the ledger {dict(mine)}, {kept} was kept"
        if order["id"] in spoilt:
            continue
        if kept != (order["total"] - refunded[order["id"]] if pays else 0):
            yield f"order {order['id']} is {order['status']}, total {order['total']}, and {kept} was kept"
        undone = mine["charge"] == 1 and mine["void"] == 1
        if payment not in _payments_of(order["status"]) or (payment == "refunded") != undone:
            yield f"order {order['id']} is {order['status']}, its payment {payment}, its ledger {dict(mine)}"
    for reference in entries.keys() - books.by_id("orders").keys():
        yield f"something was charged under {reference}, which is no order"


def _payments_of(status: str) -> frozenset[str]:
    if status == "backordered":
        return HELD
    return UNPAID if status in UNPAYABLE else PAID


def _refunded(books: Books) -> Counter[str]:
    """What refunds gave back of each order, as payments has it."""
    given: Counter[str] = Counter()
    for refund in books.tables["refunds"]:
        given[refund["order_id"]] += refund["amount"] if refund["status"] == "paid" else 0
    return given


def _refunds_given_back_once(books: Books, spoilt: set[str]) -> Iterator[str]:
    """What was asked for has ended, in one way for all who know of it; what was paid stands once in the ledger."""
    entries = [entry for entry in books.ledger if entry.get("refund")]
    given = Counter((entry["reference"], entry["refund"], entry["amount"]["amount"]) for entry in entries)
    paid = Counter(_named(each) for each in books.tables["refunds"] if each["status"] == "paid")
    for order, refund, amount in given.keys() | paid.keys():
        if order not in spoilt and (given[order, refund, amount], paid[order, refund, amount]) != (1, 1):
            yield f"refund {refund} of {amount} for order {order} was given back {given[order, refund, amount]} times"
    asked = {(*_named(each), each["status"]) for each in books.tables["asked"] if each["order_id"] not in spoilt}
    known = {(*_named(each), each["status"]) for each in books.tables["refunds"] if each["order_id"] not in spoilt}
    for order, refund, amount, status in asked ^ known:
        yield f"refund {refund} of {amount} for order {order} is {status} for only one of orders and payments"
    for order, refund, _, status in known:
        if status == "requested":
            yield f"refund {refund} for order {order} has no end"
    refunded = _refunded(books)
    for payment in books.tables["payments"]:
        if payment["id"] not in spoilt and payment["given_back"] != refunded[payment["id"]]:
            yield f"payment {payment['id']} says that {payment['given_back']} was given back"


def _named(refund: Row) -> tuple[str, str, int]:
    return refund["order_id"], refund["id"], refund["amount"]


def _points_credited_once(books: Books, spoilt: set[str]) -> Iterator[str]:
    expected = {
        order["id"]: (order["customer_id"], order["total"] // 100)
        for order in books.tables["orders"]
        if order["status"] == "completed" and order["id"] not in spoilt
    }
    # Points for the trouble with an order are no wages of it.
    earned = [entry for entry in books.tables["points"] if entry["case_id"] is None]
    entries = [entry for entry in earned if entry["id"] not in spoilt]
    found = {entry["id"]: (entry["customer_id"], entry["points"]) for entry in entries}
    if len(found) != len(entries):
        yield "points were credited twice for an order"
    for order in found.keys() | expected.keys():
        if found.get(order) != expected.get(order):
            yield f"order {order} should have earned {expected.get(order)} and did {found.get(order)}"
    balances: Counter[str] = Counter()
    for entry in books.tables["points"]:
        balances[entry["customer_id"]] += entry["points"]
    for account in books.tables["accounts"]:
        if account["points"] != balances[account["id"]]:
            yield f"account {account['id']} has {account['points']} points, credited were {balances[account['id']]}"


def _mailed(books: Books, spoilt: set[str]) -> Iterator[str]:
    """Each happening is told once, each telling is handed over; nothing else is."""
    told = Counter((row["kind"], row["about"]) for row in books.tables["notifications"] if row["kind"] in TOLD)
    expected = {
        (fact, order["id"])
        for order in books.tables["orders"]
        for fact in TOLD
        if fact in order["facts"] and order["id"] not in spoilt
    }
    paid = Counter(each["order_id"] for each in books.tables["refunds"] if each["status"] == "paid")
    mailed = Counter(row["about"] for row in books.tables["notifications"] if row["kind"] == "order-refunded")
    for order in paid.keys() | mailed.keys():
        if paid[order] != mailed[order] and order not in spoilt:
            yield f"{mailed[order]} notifications of {paid[order]} refunds of {order}"
    for kind, about in told.keys() | expected:
        if told[kind, about] != ((kind, about) in expected) and about not in spoilt:
            yield f"{told[kind, about]} notifications {kind} about {about}"
    received = _received(books)
    for row in books.tables["notifications"]:
        # Handed over before the mail server was started anew: forgotten there.
        known = row["sent_at"] and row["sent_at"] > books.mails_since + timedelta(seconds=1)
        if row["status"] == "queued" or (known and row["message_id"].strip("<>") not in received):
            yield f"notification {row['id']} is {row['status']} and was not received"
    for unknown in received.keys() - {row["message_id"].strip("<>") for row in books.tables["notifications"]}:
        yield f"the mail {unknown} is no notification"


def _nothing_parked(books: Books, spoilt: set[str]) -> Iterator[str]:
    yield from (f"parked job of {job}" for job in books.parked_jobs)
    for where, key, error in books.parked_events:
        if key not in spoilt:
            yield f"parked event of {where}, key {key}: {error}"


def _mailed_once(books: Books) -> Iterator[str]:
    for mail, count in _received(books).items():
        if count > 1:
            yield f"mail {mail} came {count} times"


def _received(books: Books) -> Counter[str]:
    return Counter(mail["MessageID"] for mail in books.mails)


def _in_sequence(books: Books, spoilt: set[str]) -> Iterator[str]:
    """Per topic and key 1, 2, 3 … to the last that was counted; about an order nothing is said twice."""
    said, orders = _by_key(books), books.by_id("orders")
    for (topic, key), envelopes in said.items():
        service, counted_as = _counted_by(topic, envelopes[0])
        if service not in books.sequences:  # absent by now
            continue
        numbers, last = [each.sequence for each in envelopes], books.sequences[service].get(counted_as)
        if key not in spoilt and (numbers != list(range(1, len(numbers) + 1)) or len(numbers) != last):
            yield f"{topic} {key}: sequence {numbers[:50]}, counted {last}"
        if key in orders and key not in spoilt:
            yield from _said_once(envelopes)
    for service, counted in books.sequences.items():
        own = {key for key in counted if "\n" not in key}  # those of other buses were looked at above
        for key in own - {key for topic, key in said if topic == f"{service}.events"}:
            yield f"{service} counted events of {key}, but its topic has none"


def _acts_are_a_chain(books: Books, spoilt: set[str]) -> Iterator[str]:
    """Whole, and as the events tell it."""
    heads = defaultdict(list)
    for each in (each for topic, envelopes in books.topics if topic == "audit.events" for each in envelopes):
        told = json.loads(each.data)
        heads[each.partitionkey].append(chain.Head(told["last"], told["hash"]))
    for service, rows in books.acts.items():
        try:
            chain.check(rows, heads[service])
        except chain.Broken as found:
            yield f"the log of acts of {service}: {found}"


def _counted_by(topic: str, first: Envelope) -> tuple[str, str]:
    """The service that says this, and the name under which it counts events of the key on the topic's bus."""
    bus = buses.bus_of(topic)
    assert bus
    service = topic.removesuffix(".events") if bus.name == DEFAULT_BUS else first.source.removeprefix("/sliceline/")
    return service, counter(bus.name, first.partitionkey)


def _by_key(books: Books) -> Mapping[tuple[str, str], Sequence[Envelope]]:
    """Each event where it first came."""
    said: dict[tuple[str, str], list[Envelope]] = defaultdict(list)
    for topic, envelopes in books.topics:
        for envelope in {each.id: each for each in envelopes}.values():
            said[topic, envelope.partitionkey].append(envelope)
    return said


def _said_once(envelopes: Sequence[Envelope]) -> Iterator[str]:
    """Versions of one happening share their occurrence."""
    occurrences = defaultdict(set)
    for each in envelopes:
        occurrences[name_without_version(each.type)].add(each.occurrenceid)
    for name, found in occurrences.items():
        # A step may be late more than once, at each status; and an order may be refunded in parts.
        if len(found) > 1 and not name.endswith(REPEATED):
            yield f"{name} happened {len(found)} times to order {envelopes[0].partitionkey}"


CHECKS: Sequence[Check] = (
    _orders_have_an_end,
    _stock_adds_up,
    _reservations_follow_orders,
    _charged_once,
    _refunds_given_back_once,
    _points_credited_once,
    _mailed,
    _nothing_parked,
    _in_sequence,
    _acts_are_a_chain,
)
