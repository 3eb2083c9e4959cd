"""Why something has not happened: the first broken link, whatever kind it is of."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from backbone.events.contracts import schema_of, schemas_of
from services import CATALOGUE
from services.ledger.links import Answer, Facts, Seen
from services.ledger.standing import Job, Letter, LogBreak, Outbox, Pause, Refused, Standing, asked_of, standing
from services.ledger.why import Unasked, why
from services.ledger.wiring import NotKnown, Wiring, short, wiring

NOW = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
WIRING: Wiring = wiring(tuple(CATALOGUE))
TOPICS = [f"{service}.events" for service in CATALOGUE]
ALL_READ = {(topic, 3): 1000 for topic in TOPICS}
FINE = Standing(address="http://127.0.0.1:8000", places=ALL_READ)
PLACED = {"fulfilment": "delivery", "lines": [{"baked": True}]}


def seen(number: int, name: str, cause: str | None = None, data: Mapping[str, Any] | None = None) -> Seen:
    """The event of that number, at that second and that offset."""
    version = 2 if name == "orders.order-confirmed" else 1
    return Seen(
        id=f"e-{number}",
        type=f"sliceline.{name}.v{version}",
        time=NOW - timedelta(minutes=10) + timedelta(seconds=number),
        topic=f"{name.split('.')[0]}.events",
        partition=3,
        offset=number,
        key="o-1",
        occurrenceid=f"happening {number}",
        causationid=cause,
        whole={"type": f"sliceline.{name}.v{version}", "data": data or {}},
    )


ORDER = seen(1, "orders.order-placed", data=PLACED)
RESERVED = seen(2, "inventory.stock-reserved", "e-1")
PAID = seen(3, "payments.payment-received", "e-1")
CONFIRMED = seen(4, "orders.order-confirmed", "e-3", PLACED)
MAILED = seen(5, "notifications.notification-sent", "e-4")


def asked(expected: str, *events: Seen, **standings: Standing) -> Answer:
    """The answer where each service stands fine, but for those of which something else is said."""
    known = {**dict.fromkeys(CATALOGUE, FINE), **standings}
    return why(Facts("o-1", events, WIRING, known, NOW), WIRING.find(expected))


def broken(expected: str, *events: Seen, **standings: Standing) -> tuple[str, str, str | None]:
    """Kind, service and command of the broken link."""
    link = asked(expected, *events, **standings).broken
    assert link is not None
    return link.kind, link.service, link.command


def job(kind: str, **more: Any) -> Standing:
    """A service that has a job of the order to do."""
    return Standing(places=ALL_READ, jobs=[Job(**{"id": 1, "kind": kind, "key": "o-1", "due": NOW, **more})])


def letters(*found: Letter) -> Standing:
    """A service that has parked something."""
    return Standing(places=ALL_READ, letters=found)


def test_nobody_is_asked_but_who_is_on_the_way() -> None:
    """The others have enough to do, just when something does not get on."""
    asked_for = []
    standings: dict[str, Standing] = {}
    while True:
        try:
            why(Facts("o-1", [ORDER, RESERVED], WIRING, standings, NOW), "orders.order-confirmed")
        except Unasked as error:
            asked_for.append(error.service)
            standings[error.service] = FINE
        else:
            break
    assert asked_for == ["payments", "ledger"]


def test_what_has_happened_is_told_with_its_moment() -> None:
    answer = asked("payment", ORDER, PAID)
    assert answer.broken is None
    assert answer.happened is not None
    assert (answer.happened.at, answer.happened.event) == (PAID.time, "e-3")


BEHIND = Standing(places={**ALL_READ, ("orders.events", 3): 1})
PARKED = Letter(id=7, topic="orders.events", partition=3, offset=1, key="o-1", error="Mismatch: no")
BEFORE = Letter(id=6, topic="orders.events", partition=3, offset=0, key="o-1", error="Mismatch: no")
HELD = Letter(id=7, topic="orders.events", partition=3, offset=1, key="o-1")
GIVEN_UP = Letter(
    id=7, topic="orders.events", partition=3, offset=1, key="o-1", discarded_by="ann", reason="rubbish", error="no"
)
REDRIVE = "./sliceline redrive payments --key o-1"
BY_A_PLAN = "./sliceline dead-letters redrive payments --key o-1"
LOGS = "./sliceline logs payments"


@pytest.mark.parametrize(
    ("found", "kind", "command"),
    [
        (Standing(answers=False), "no-answer", "./sliceline restart payments"),
        (BEHIND, "behind", LOGS),
        (letters(PARKED), "parked", BY_A_PLAN),
        (letters(BEFORE, HELD), "held", BY_A_PLAN),
        (Standing(places=ALL_READ, discarded=[GIVEN_UP]), "discarded", None),
        (
            Standing(places=BEHIND.places, pauses=[Pause("consumer", "payments", "tea")]),
            "paused",
            "./sliceline resume payments",
        ),
        (
            Standing(places=ALL_READ, letters=[HELD], pauses=[Pause("key", "o-1", "tea")]),
            "paused",
            "./sliceline resume payments --key o-1",
        ),
        (job("charge", error="503", attempts=4, due=NOW + timedelta(seconds=9)), "job-failing", LOGS),
        (job("charge", error="503", parked_at=NOW), "job-parked", REDRIVE),
        (job("charge", due=NOW + timedelta(hours=1)), "job-later", None),
        (job("charge", due=NOW - timedelta(minutes=1)), "job-waiting", LOGS),
        (
            Standing(places=ALL_READ, jobs=job("charge").jobs, pauses=[Pause("job", "charge", "tea")]),
            "paused",
            "./sliceline resume payments --jobs charge",
        ),
        (
            Standing(
                places=ALL_READ, refused=[Refused("sliceline.payments.payment-received.v1", "o-1", "too large", NOW)]
            ),
            "refused",
            REDRIVE,
        ),
        (Standing(places=ALL_READ, outbox=Outbox(3, NOW - timedelta(minutes=1))), "outbox", LOGS),
        (
            Standing(places=ALL_READ, log_breaks=[LogBreak("orders.events", "cut back")]),
            "skipped",
            "./sliceline heal payments",
        ),
        (FINE, "nothing-told", LOGS),
    ],
)
def test_the_first_broken_link_is_named_with_what_mends_it(found: Standing, kind: str, command: str | None) -> None:
    assert broken("payment", ORDER, payments=found) == (kind, "payments", command)


def test_a_key_is_pasted_as_one_word_and_asked_for_as_one_key() -> None:
    key = "a&limit=1#x; rm -rf '/'"
    event = msgspec.structs.replace(ORDER, key=key)
    _, _, command = broken("payment", event, payments=letters(msgspec.structs.replace(PARKED, key=key)))
    assert shlex.split(command or "")[-2:] == ["--key", key]
    asked = asked_of(key, [key], [key])
    assert {"letters", "discarded", "refused", "jobs"} <= {name for name, _ in asked}
    for path in (path for _, path in asked if "key=" in path):
        assert parse_qs(urlsplit(path).query) == {"limit": ["200"], "key": [key]}
        assert not urlsplit(path).fragment


def test_many_long_keys_are_asked_for_in_several_addresses() -> None:
    keys = [f"{number}{'k' * 500}" for number in range(100)]
    paths = [path for name, path in asked_of("o-1", ["o-1"], keys) if name == "jobs"]
    assert max(map(len, paths)) < 10_000
    assert [key for path in paths for key in parse_qs(urlsplit(path).query)["key"]] == keys


GONE = {"id": 7, "topic": "orders.events", "partition": 3, "offset": 1, "key": "a sku", "reason": "rubbish"}


def test_an_event_that_was_given_up_under_a_key_of_its_own_was_not_handled() -> None:
    said = [("backlog", {}), ("discarded", {"items": []}), ("discarded", {"items": [GONE]}), ("jobs", None)]
    kind, _, _ = broken("payment", msgspec.structs.replace(ORDER, key="a sku"), payments=standing("", said, "o-1"))
    assert kind == "discarded"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("backlog", []),
        ("backlog", {"outbox": 3}),
        ("handled", {"consumers": [{}]}),
        ("letters", ["items"]),
        ("discarded", {"items": [{"id": "seven"}]}),
        ("jobs", {"detail": "no"}),
    ],
)
def test_a_service_that_says_something_else_than_it_should_does_not_answer(name: str, answer: Any) -> None:
    assert standing("", [("backlog", {})], "o-1").answers
    assert not standing("", [("backlog", {}), (name, answer)], "o-1").answers


def test_a_cause_is_looked_for_where_it_is_however_far_back() -> None:
    """Nothing is delivered, because nothing is baked, because nothing is paid, because the charge was given up."""
    answer = asked("order-completed", ORDER, RESERVED, payments=job("charge", error="503", parked_at=NOW))
    assert answer.broken is not None
    assert (answer.broken.kind, answer.broken.service) == ("job-parked", "payments")
    steps = [link.text for link in answer.chain]
    assert steps[0] == "orders.order-completed follows on delivery.order-delivered, which has not happened."
    assert steps[-1] == "payments has handled orders.order-placed."


def test_what_a_person_has_to_ask_for_is_a_button() -> None:
    found = broken("order-completed", ORDER, RESERVED, PAID, CONFIRMED)
    assert found == ("button", "kitchen", "curl -X POST http://127.0.0.1:8000/tickets/o-1/prepared")


def test_an_order_to_be_collected_asks_for_the_button_at_the_counter() -> None:
    data = {"fulfilment": "collection", "lines": [{"baked": False}]}
    order, confirmed = seen(1, "orders.order-placed", data=data), seen(4, "orders.order-confirmed", "e-3", data)
    assert broken("order-completed", order, RESERVED, PAID, confirmed)[2] == (
        "curl -X POST http://127.0.0.1:8000/deliveries/o-1/collected"
    )


def test_a_mail_is_asked_for_by_each_event_that_calls_for_one() -> None:
    cancelled = seen(6, "orders.order-cancelled", "e-9")
    failing = Standing(places=ALL_READ, jobs=[Job(1, "send", "happening 6", NOW, 3, "Connection refused")])
    assert asked("mail", ORDER, CONFIRMED, MAILED).happened is not None
    assert broken("mail", ORDER, CONFIRMED, MAILED, cancelled, notifications=failing)[0] == "job-failing"


def test_a_mail_of_an_order_that_waits_for_its_payment_waits_for_the_payment() -> None:
    """It is no mail about missing stock that it waits for: the stock is there."""
    answer = asked("mail", ORDER, RESERVED, payments=job("charge", error="503", parked_at=NOW))
    assert answer.broken is not None
    assert (answer.broken.kind, answer.broken.service) == ("job-parked", "payments")
    assert not [link.text for link in answer.chain if "backordered" in link.text]


def test_a_refund_of_a_cancelled_order_is_what_its_cancellation_gave_back() -> None:
    cancelled, back = seen(6, "orders.order-cancelled", "e-9"), seen(7, "payments.payment-refunded", "e-6")
    answer = asked("refund", ORDER, RESERVED, PAID, cancelled, back)
    assert answer.happened is not None
    assert answer.happened.event == "e-7"
    failing = job("void", error="503", parked_at=NOW)
    assert broken("refund", ORDER, RESERVED, PAID, cancelled, payments=failing)[:2] == ("job-parked", "payments")
    assert broken("refund", ORDER, RESERVED, PAID, CONFIRMED)[0] == "button"


def test_an_end_stands_against_what_comes_before_it() -> None:
    rejected = seen(5, "orders.order-rejected", "e-2")
    assert broken("order-confirmed", ORDER, rejected) == ("ended", "orders", None)


def test_another_answer_is_told_where_a_service_decided_otherwise() -> None:
    waiting = seen(2, "inventory.stock-backordered", "e-1")
    assert broken("stock", ORDER, waiting) == ("otherwise", "inventory", None)


def test_an_archive_that_lacks_something_says_so_first() -> None:
    redrive = "./sliceline dead-letters redrive ledger --all"
    assert broken("stock", ORDER, ledger=letters(PARKED)) == ("archive", "ledger", redrive)
    rests = Standing(places=ALL_READ, pauses=[Pause("consumer", "ledger", "tea")])
    assert broken("stock", ORDER, ledger=rests) == ("archive", "ledger", "./sliceline resume ledger")


def test_a_service_has_done_its_part_when_all_it_listens_to_is_handled() -> None:
    happened = asked("kitchen", ORDER, CONFIRMED).happened
    assert happened is not None
    assert happened.text == "kitchen has handled the one event that it listens to."
    assert broken("kitchen", ORDER, CONFIRMED, kitchen=Standing(answers=False))[0] == "no-answer"
    orders_only = Standing(places={("orders.events", 3): 1000})
    assert broken("kitchen", ORDER, RESERVED, kitchen=orders_only, payments=BEHIND) == ("behind", "payments", LOGS)


def test_a_service_that_listens_to_nothing_of_an_order_says_so() -> None:
    assert broken("partners", ORDER, partners=Standing())[0] == "not-listening"


def test_a_reader_of_whole_topics_is_behind_as_any_other() -> None:
    behind = Standing(places={("orders.events", 3): 0})
    assert broken("webhooks", ORDER, webhooks=behind)[0] == "behind"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("mail", "notifications.notification-sent"),
        ("points", "loyalty.points-earned"),
        ("payment", "payments.payment-received"),
        ("order-confirmed", "orders.order-confirmed"),
        ("sliceline.orders.order-confirmed.v2", "orders.order-confirmed"),
        ("loyalty", "loyalty"),
    ],
)
def test_people_may_say_an_event_as_they_like(said: str, name: str) -> None:
    assert WIRING.find(said) == name


@pytest.mark.parametrize(
    ("said", "advice"),
    [("order-confirmd", "Did you mean order-confirmed"), ("cancellation-refused", "name the service")],
)
def test_a_word_that_nobody_knows_gets_advice(said: str, advice: str) -> None:
    with pytest.raises(NotKnown, match=advice):
        WIRING.find(said)


def wired() -> Sequence[str]:
    return [each for service in CATALOGUE for each in schemas_of(service) if "x-follows" in schema_of(each)]


@pytest.mark.parametrize("event_type", wired())
def test_a_contract_follows_on_what_its_publisher_reads_or_tells(event_type: str) -> None:
    """Wiring that no code has would send whoever asks the wrong way."""
    name = short(event_type)
    service, wire = WIRING.publisher(name), WIRING.wires[name]
    known = WIRING.reads[service] | {each for each in WIRING.wires if WIRING.publisher(each) == service}
    assert {need.event for need in wire.needs} <= known
    assert set(wire.unless) <= WIRING.wires.keys()
