"""Why a rule or a webhook endpoint did nothing with an order's events: which field of which event did not match."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import BaseModel

from backbone.identity.own_token import OwnToken
from backbone.settings import Settings
from backbone.storage.database import Database
from services.ledger.asking import Services
from services.ledger.kept import Archived
from services.ledger.links import Answer
from services.ledger.outlets import Delivery, Endpoint, Rule
from services.ledger.questions import Inquiry
from services.ledger.wiring import NotKnown
from services.router.bodies import RuleView
from services.webhooks.bodies import AttemptView, DeliveryDocument, EndpointView

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
PLACED, PAID = "sliceline.orders.order-placed.v1", "sliceline.payments.payment-received.v1"
REQUESTED = "sliceline.router.delivery-requested.v1"
LARGE = {"type": [PLACED], "data": {"total": {"amount": [{"numeric": [">", 5000]}]}}}
SMALL = {"type": [PLACED], "data": {"total": {"amount": [{"numeric": ["<", 5000]}]}}}
RULE = {"id": "r-1", "name": "Large orders", "bus": "default", "pattern": LARGE, "enabled": True, "changed_at": NOON}
ENDPOINT = {"id": "till", "pattern": LARGE, "status": "active", "reason": None, "created_at": NOON}


def event(number: int, of_type: str, **data: Any) -> Archived:
    service = of_type.split(".")[1]
    return Archived(
        id=f"e-{number}",
        source=f"/sliceline/{service}",
        day=NOON.date(),
        type=of_type,
        subject="o-1",
        time=NOON + timedelta(seconds=number),
        topic=f"{service}.events",
        partition=0,
        offset=number,
        recorded_at=NOON,
        key="o-1",
        record_key=b"o-1",
        headers=[("ce_type", of_type.encode()), ("ce_id", f"e-{number}".encode())],
        value=msgspec.json.encode({"order": "o-1", **data}),
        correlationid="a story",
        causationid=None,
        occurrenceid=f"e-{number}",
        sequence=number,
        archived_at=NOON,
    )


STORY = [event(1, PLACED, total={"amount": 2400}), event(2, PAID)]


class Answering(Services):
    """Services whose answers are known, by service and path."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        addresses = {name: f"http://{name}" for name in ("router", "webhooks", "ledger")}
        unasked = OwnToken("ledger", Settings(database_url="postgresql://unused"), httpx.AsyncClient)
        super().__init__(addresses, unasked)
        self._answers = msgspec.to_builtins(answers)

    async def get(self, name: str, path: str, _: Mapping[str, Any] | None = None) -> Any | None:
        path = path.partition("?")[0]
        if path == "/backlog":
            return {}
        return self._answers.get(f"{name}{path}")


def page(*items: Any) -> dict[str, Any]:
    return {"items": items, "next": None}


async def asked(expected: str, *events: Archived, **answers: Any) -> Answer:
    """The answer where the router has one rule and webhooks one endpoint, but for what is said otherwise."""
    known = {"router/rules": page(RULE), "webhooks/endpoints": page(ENDPOINT), **answers}
    inquiry = Inquiry(Database("postgresql://nobody@127.0.0.1/nothing", "ledger"), Answering(known))
    return await inquiry.why_outlet("o-1", expected, [*STORY, *events])


async def broken(expected: str, **answers: Any) -> tuple[str, str, str, str | None]:
    link = (await asked(expected, **answers)).broken
    assert link is not None
    return link.kind, link.service, link.text, link.command


def test_router_and_webhooks_show_what_is_read_of_them() -> None:
    read: dict[Any, type[BaseModel]] = {Rule: RuleView, Endpoint: EndpointView, Delivery: DeliveryDocument}
    for view, shown in read.items():
        assert {*view.__struct_fields__} - {"said"} <= shown.model_fields.keys()
    assert "said" in AttemptView.model_fields


@pytest.mark.parametrize(
    ("expected", "service", "path"),
    [
        ("rule:Large orders", "router", "rules/r-1"),
        ("rule:r-1", "router", "rules/r-1"),
        ("endpoint:till", "webhooks", "endpoints/till"),
    ],
)
async def test_a_pattern_that_nothing_matches_is_told_with_the_field_of_the_event_that_comes_nearest(
    expected: str, service: str, path: str
) -> None:
    kind, at, text, command = await broken(expected)
    assert (kind, at, command) == ("filtered", service, f"curl http://{service}/{path}")
    assert "none of the order's 2 events. orders.order-placed comes nearest: data.total.amount has to" in text
    assert text.endswith("5000, and is 2400.")


async def test_a_rule_that_passed_something_on_is_told_with_the_event_that_came_of_it() -> None:
    requested = event(3, REQUESTED, rule="r-1", endpoint="till")
    answer = await asked("rule:r-1", requested)
    assert answer.happened is not None
    assert (answer.happened.event, answer.broken) == ("e-3", None)
    assert (await asked("rule:r-1", event(3, REQUESTED, rule="another"))).happened is None


async def test_a_rule_that_is_off_too_young_or_on_another_bus_is_told_as_such() -> None:
    off = page({**RULE, "enabled": False})
    assert (await broken("rule:r-1", **{"router/rules": off}))[::3] == (
        "off",
        "curl -X POST http://router/rules/r-1/enable",
    )
    young = page({**RULE, "pattern": SMALL, "changed_at": NOON + timedelta(minutes=1)})
    assert "happened before it was as it is now" in (await broken("rule:r-1", **{"router/rules": young}))[2]
    other = page({**RULE, "bus": "elsewhere"})
    assert "none is on its bus" in (await broken("rule:r-1", **{"router/rules": other}))[2]


async def test_where_a_rule_matches_the_router_itself_is_asked_how_far_it_is() -> None:
    letter = {"id": 7, "topic": "orders.events", "partition": 0, "offset": 1, "key": "o-1", "error": "Mismatch: no"}
    place = {"topic": "orders.events", "partition": 0, "next_offset": 100}
    paid = {"topic": "payments.events", "partition": 0, "next_offset": 100}
    handled = {"consumers": [{"places": [place, paid]}]}
    given = {"router/rules": page({**RULE, "pattern": SMALL}), "router/handled": handled}
    answer = await asked("rule:r-1", **given, **{"router/dead-letters": page(letter)})
    assert answer.broken is not None
    assert answer.broken.kind == "parked"
    assert answer.broken.command == "./sliceline dead-letters redrive router --key o-1"
    assert answer.chain[0].text == "Rule Large orders matches orders.order-placed."
    assert (await broken("rule:r-1", **given))[0] == "nothing-told"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": "disabled", "reason": "Nothing got through."}, "off"),
        ({"status": "unproven"}, "off"),
        ({"pattern": None}, "filtered"),
    ],
)
async def test_an_endpoint_that_gets_nothing_is_told_as_such(changes: dict[str, Any], kind: str) -> None:
    assert (await broken("endpoint:till", **{"webhooks/endpoints": page({**ENDPOINT, **changes})}))[0] == kind


@pytest.mark.parametrize(
    ("status", "attempts", "kind", "said"),
    [
        ("parked", 9, "job-parked", "after 9 attempts, the last: HTTP 500"),
        ("waiting", 2, "job-failing", "after 2 attempts, the last: HTTP 500"),
        ("waiting", 0, "job-waiting", "has not been sent yet"),
        ("discarded", 9, "discarded", "gave orders.order-placed for endpoint till up"),
    ],
)
async def test_a_delivery_that_did_not_arrive_is_told_with_what_came_of_its_attempts(
    status: str, attempts: int, kind: str, said: str
) -> None:
    told = await broken("endpoint:till", **delivery(1, status, attempts))
    assert (told[0], said in told[2]) == (kind, True)


async def test_a_delivery_that_arrived_is_told_with_its_moment() -> None:
    answer = await asked("endpoint:till", **delivery(1, "delivered", 1), **delivery(2, "delivered", 1))
    assert answer.happened is not None
    assert (answer.happened.at, answer.happened.event, len(answer.chain)) == (NOON + timedelta(seconds=2), "e-2", 1)


def delivery(number: int, status: str, attempts: int) -> dict[str, Any]:
    shown = {
        "event": f"e-{number}",
        "status": status,
        "attempts": attempts,
        "due": NOON,
        "changed_at": NOON + timedelta(seconds=number),
        "tries": [{"said": "HTTP 500"}] if attempts else [],
    }
    return {f"webhooks/endpoints/till/deliveries/e-{number}": shown}


async def test_who_is_not_there_is_told_and_a_name_that_nobody_has_is_refused() -> None:
    assert (await broken("rule:r-1", **{"router/rules": None}))[::3] == ("no-answer", "./sliceline restart router")
    for expected in ("rule:Small", "endpoint:shop"):
        with pytest.raises(NotKnown, match="There are: "):
            await asked(expected)
