"""An order's journey, told from events and from what listeners say: order, spans, and who has finished."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from services.ledger.bodies import ListenerView
from services.ledger.journey import journey, own
from services.ledger.kept import Archived
from services.ledger.listeners import Account, Fault, Job, Outcome, Retried

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
PLACED, RESERVED = "sliceline.orders.order-placed.v1", "sliceline.inventory.stock-reserved.v1"
LEVEL = "sliceline.inventory.stock-level-changed.v1"


def at(milliseconds: int) -> datetime:
    return NOON + timedelta(milliseconds=milliseconds)


def event(name: str, of_type: str = PLACED, time: int = 0, cause: str | None = None, **data: Any) -> Archived:
    return Archived(
        id=name,
        source="/sliceline/orders",
        day=NOON.date(),
        type=of_type,
        subject="7",
        time=at(time),
        topic="orders.events",
        partition=0,
        offset=0,
        recorded_at=at(time + 5),
        key="7",
        record_key=b"7",
        headers=[],
        value=msgspec.json.encode(data or {"order": "7"}),
        correlationid="a story",
        causationid=cause,
        occurrenceid=name,
        sequence=1,
        archived_at=at(time + 50),
    )


def told(*events: Archived, **accounts: Account | None) -> Any:
    return journey("7", events, accounts, lambda service, _: service == "kitchen", is_cut=False)


def test_an_order_has_its_events_and_what_came_of_them_but_those_of_no_other_order() -> None:
    placed, other = event("placed"), event("other", order="8")
    level, thing = event("level", LEVEL, 20, sku="cola"), event("a text", LEVEL, 30)
    thing = msgspec.structs.replace(thing, value=b'"a text"')
    found = own("7", [placed], [level, other, placed, thing])
    assert [each.id for each in found] == ["placed", "level", "a text"]


def test_what_led_to_an_event_comes_before_it_whatever_the_clocks_say() -> None:
    placed, reserved = event("placed", time=100), event("reserved", RESERVED, 40, cause="placed")
    after = event("after", time=60, cause="reserved")
    assert [each.id for each in own("7", [after, reserved, placed], [])] == ["placed", "reserved", "after"]
    ring = [event("one", cause="two"), event("two", cause="one")]
    assert len(own("7", ring, [])) == 2


def test_outbox_topic_and_handler_are_told_apart() -> None:
    handled = Account((Outcome("handled", at(25), at(32)),))
    [step] = told(event("placed"), inventory=handled).steps
    [listener] = step.listeners
    assert (step.after_ms, step.in_outbox_ms, listener.in_topic_ms, listener.in_handler_ms) == (None, 5, 20, 7)
    [before, after] = told(event("one"), event("two", time=90)).steps
    assert (before.after_ms, after.after_ms) == (None, 90)


def test_what_is_not_known_is_no_span_and_none_is_negative() -> None:
    early = Account((Outcome("handled", at(1), None),))
    [listener] = told(event("placed"), inventory=early).steps[0].listeners
    assert (listener.in_topic_ms, listener.in_handler_ms) == (0, None)
    parked = msgspec.structs.replace(event("placed"), recorded_at=None)
    assert told(parked).steps[0].in_outbox_ms is None


def test_who_has_finished_who_has_not_and_who_did_not_answer_are_told() -> None:
    job = Job("charge", "7", 3, "HTTP 503", NOON, NOON, None, "placed")
    found = told(
        event("placed"),
        inventory=Account((Outcome("handled", at(9), at(10)),)),
        payments=Account((Outcome("handled", at(9), at(10)),), (job,)),
        alerts=Account((Outcome("parked", at=at(9), error="Boom"),)),
        reviews=Account((Outcome("not read"),)),
        kitchen=None,
        delivery=None,
    )
    [step] = found.steps
    assert (step.finished, step.unfinished, step.unknown) == (("inventory",), ("payments", "alerts"), ("kitchen",))
    assert (found.unfinished, found.unanswered) == (("alerts", "payments"), ("kitchen", "delivery"))
    states = {each.service: (each.state, each.error, [job.error for job in each.jobs]) for each in step.listeners}
    assert states["payments"] == ("handled", None, ["HTTP 503"])
    assert states["alerts"] == ("parked", "Boom", [])


def test_a_step_says_what_led_to_it_and_holds_what_its_event_told() -> None:
    first, second = told(event("placed"), event("reserved", RESERVED, 9, cause="placed", order="7")).steps
    assert (first.causationid, second.causationid, second.correlationid) == (None, "placed", "a story")
    assert second.data == {"order": "7"}


def test_a_job_that_no_event_has_set_off_is_told_beside_them() -> None:
    job = Job("watch", "7", 0, None, NOON, None, None, None)
    found = told(event("placed"), orders=Account((Outcome("not read"),), (job,)))
    assert [(each.service, each.kind) for each in found.jobs] == [("orders", "watch")]
    assert found.steps[0].sentence.startswith("The order 7 was placed")


def test_attempts_that_failed_are_told_with_their_errors_for_events_and_for_jobs_that_ended() -> None:
    away = Fault("OSError: away", NOON, 12)
    mine, other = (Retried("send", "7", 2, "HTTP 503", NOON, cause) for cause in ("placed", "another"))
    account = Account((Outcome("handled", at(9), at(10), attempts=2, errors=(away,)),), retried=(mine, other))
    [listener] = told(event("placed"), notifications=account).steps[0].listeners
    shown = ListenerView.model_validate(listener).model_dump(include={"attempts", "errors", "retried"})
    assert shown == {
        "attempts": 2,
        "errors": [{"error": "OSError: away", "at": NOON, "together": 12}],
        "retried": [{"kind": "send", "key": "7", "attempts": 2, "error": "HTTP 503", "ended_at": NOON}],
    }
    assert listener.has_finished
