"""What the console says of the shop: whether anything is lost, where a journey's events are drawn, where ids lead."""

import shlex
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import htpy as h
import httpx
import pytest
from htpy import Node

from services.console.asking import Ask, Services
from services.console.elements import WAITS, WELL, WRONG
from services.console.lanes import HANDLER, OUTBOX, TOPIC, WIDTH, draw, title, tree
from services.console.losses import parked, verdict
from services.console.pages import journey, operations, orders, searching, steps, tailing
from services.console.pages.events import record, trace_of
from services.console.pages.instants import slider, states
from services.console.pages.order_acts import minor
from services.console.pages.orders import expected, filters_of, wanted
from services.console.pages.searching import TRACE, way
from services.console.pages.steps import errors_of, is_wrong
from services.console.picture import picture
from services.console.session import ANYBODY
from services.console.shell import Page

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
BALANCED: dict[str, Any] = {"silent": [], "consumers": [{"consumer": "loyalty", "differences": []}]}
FUNNEL = {"stuck_orders": 0}
NOTHING_YET: dict[str, Any] = {
    "steps": [],
    "jobs": [],
    "unfinished": [],
    "unanswered": [],
    "took_ms": 0,
    "is_cut": False,
}


def backlog(**changes: Any) -> dict[str, Any]:
    waits: dict[str, Any] = {
        "outbox": {"waiting": 0, "refused": 0},
        "parked": {"events": 0, "keys": 0},
        "jobs": [],
        "pauses": [],
        "needs": [],
    }
    return waits | changes


def lost(**counts: int) -> dict[str, Any]:
    return {**BALANCED, "consumers": [{"consumer": "loyalty", "differences": [{"missing": 0, "twice": 0, **counts}]}]}


def test_nothing_is_lost_where_all_adds_up_and_nothing_waits() -> None:
    said = verdict(BALANCED, {"orders": backlog()}, FUNNEL)
    assert said == (WELL, "No. Every event is accounted for, and nothing waits for anybody.")


def test_what_is_lost_is_said_with_how_many_and_where_and_that_somebody_is_silent() -> None:
    said = verdict({**lost(missing=2, twice=1), "silent": ["kitchen"]}, {}, FUNNEL)
    assert said == (
        WRONG,
        "Yes: 2 events are missing at loyalty and 1 event was handled twice at loyalty. "
        "What else is lost cannot be said: kitchen does not answer.",
    )


def test_it_cannot_be_said_while_somebody_does_not_answer() -> None:
    assert verdict({**BALANCED, "silent": ["alerts", "carts"]}, {"orders": None}, FUNNEL) == (
        WRONG,
        "Whether anything is lost cannot be said: alerts and carts do not answer.",
    )
    assert verdict(None, {}, FUNNEL).text == "Whether anything is lost cannot be said: ledger does not answer."


def test_what_waits_for_somebody_is_counted_and_is_not_lost() -> None:
    waits = backlog(
        parked={"events": 5, "keys": 2}, jobs=[{"given_up": 1}, {"given_up": 2}], outbox={"waiting": 3, "refused": 0}
    )
    assert parked(waits) == (2, 3)
    said = verdict(BALANCED, {"orders": waits, "carts": backlog()}, {"stuck_orders": 1})
    assert said.kind == WAITS
    assert said.text == (
        "No, nothing is lost. But somebody is needed: 2 events are parked, 3 are held behind, 3 jobs are given up and "
        "1 order does not get on."
    )
    silent = verdict(BALANCED, {"orders": None, "carts": backlog()}, FUNNEL)
    assert silent == (WAITS, "No, nothing is lost. But somebody is needed: orders does not answer.")
    other = verdict(BALANCED, {"orders": backlog(needs=["a log broke"])}, FUNNEL)
    assert other == (WAITS, "No, nothing is lost. But somebody is needed: 1 thing below.")


def listener(
    service: str, topic_ms: float | None = 10.0, handler_ms: float | None = 5.0, **more: Any
) -> dict[str, Any]:
    return {
        "service": service,
        "state": "handled",
        "in_topic_ms": topic_ms,
        "in_handler_ms": handler_ms,
        "error": None,
        "attempts": 1,
        "errors": [],
        "jobs": [],
        "retried": [],
        **more,
    }


def step(event: str, at: float, *listeners: dict[str, Any], source: str = "orders", cause: str | None = None) -> Any:
    return {
        "event": event,
        "source": f"/sliceline/{source}",
        "type": f"sliceline.{source}.{event}.v1",
        "time": (NOON + timedelta(seconds=at)).isoformat(),
        "in_outbox_ms": 20.0,
        "causationid": cause,
        "sentence": f"<{event}> happened.",
        "listeners": list(listeners),
    }


def test_outbox_topic_and_handler_are_drawn_one_after_the_other_in_the_lanes_of_those_whose_they_are() -> None:
    drawing = draw([step("placed", 0, listener("inventory"))])
    assert drawing.lanes == ("orders", "inventory")
    kinds = {bar.kind: bar for bar in drawing.bars}
    assert (kinds[OUTBOX].lane, kinds[TOPIC].lane, kinds[HANDLER].lane) == (0, 1, 1)
    assert kinds[OUTBOX].left == 0
    assert kinds[OUTBOX].right == kinds[TOPIC].left
    assert kinds[TOPIC].right == kinds[HANDLER].left
    assert kinds[HANDLER].right == WIDTH
    assert [round(kinds[each].ms) for each in (OUTBOX, TOPIC, HANDLER)] == [20, 10, 5]
    assert title([step("placed", 0)], kinds[OUTBOX]) == "orders.placed: in the outbox 20 ms"


def test_a_silence_is_cut_so_that_what_takes_milliseconds_is_still_seen() -> None:
    drawing = draw([step("placed", 0, listener("inventory")), step("baked", 600, source="kitchen")])
    [silence] = drawing.silences
    assert silence.seconds == pytest.approx(600 - 0.035)
    assert silence.right - silence.left < WIDTH / 10
    first = next(bar for bar in drawing.bars if bar.kind == TOPIC)
    assert first.right - first.left > WIDTH / 10
    assert drawing.dots[1].x > silence.left


def test_places_never_go_back_in_time_however_many_silences_there_are() -> None:
    drawing = draw([step(f"e{number}", number * 60) for number in range(500)])
    places = [dot.x for dot in drawing.dots]
    assert places == sorted(places)
    assert (places[0], len(drawing.silences)) == (0, 499)
    assert places[-1] <= WIDTH


def test_an_arrow_leads_from_a_cause_to_what_came_of_it() -> None:
    drawing = draw([step("placed", 0), step("reserved", 1, source="inventory", cause="placed")])
    assert [(each.start.step, each.end.step) for each in drawing.arrows] == [(0, 1)]


def test_each_event_stands_below_its_cause_and_a_ring_of_causes_is_shown_as_well() -> None:
    told = [
        step("placed", 0, cause="a command"),
        step("reserved", 1, cause="placed"),
        step("paid", 2, cause="placed"),
        step("mail", 3, cause="reserved"),
    ]
    assert tree(told) == [(0, 0), (1, 1), (3, 2), (2, 1)]
    assert tree([step("one", 0, cause="two"), step("two", 1, cause="one")]) == [(0, 0), (1, 0)]
    deep = [step(str(number), number, cause=str(number - 1)) for number in range(2000)]
    assert tree(deep)[-1] == (1999, 1999)


def test_a_drawing_says_nothing_that_is_not_escaped() -> None:
    drawn = str(picture([step("placed", 0, listener("<b>"))]))
    assert "&lt;placed&gt; happened." in drawn
    assert "<b>" not in drawn


def test_what_went_wrong_is_told_attempt_by_attempt_and_for_jobs() -> None:
    fault = {"error": "OSError: away", "at": None, "together": 3}
    job = {"kind": "charge", "attempts": 2, "error": "HTTP 503"}
    ended = {"kind": "send", "attempts": 3, "error": "HTTP 500"}
    told = listener("payments", state="parked", error="Boom", errors=[fault], jobs=[job], retried=[ended])
    assert errors_of(told) == [
        "OSError: away (one of 3 that were tried together)",
        "Boom",
        "job charge: HTTP 503 (2 attempts)",
        "job send, done after 3 attempts: HTTP 500",
    ]
    assert is_wrong({"listeners": [told]})
    assert not is_wrong({"listeners": [listener("payments")]})


def said(node: Node) -> str:
    return "".join(str(each) for each in (node if isinstance(node, list) else [node]))


def test_an_order_in_a_list_says_what_is_next_and_what_it_is_of() -> None:
    lines = [{"quantity": number, "item": f"i{number}"} for number in range(1, 6)]
    assert wanted(lines) == "1 i1, 2 i2, 3 i3 and 2 more"
    assert wanted(lines[:2]) == "1 i1 and 2 i2"
    step = {"step": "baked", "at": "2026-11-27T12:00:00Z"}
    assert said(expected(step)).startswith("baked due <time")
    assert "baked late" in said(expected(step, late=True))


def test_a_minute_that_a_field_gives_is_one_of_utc_and_what_is_empty_is_no_filter() -> None:
    query = {"since": "2026-11-29T07:28", "until": "2026-11-29T07:28:00+01:00", "status": "", "customer": " ada "}
    assert filters_of(query) == {
        "customer": "ada",
        "since": "2026-11-29T07:28Z",
        "until": "2026-11-29T07:28:00+01:00",
    }


@pytest.mark.parametrize(
    ("text", "currency", "amount"), [("5", "GBP", 500), (" 5.25 ", "GBP", 525), ("", "GBP", None), ("12", "JPY", 12)]
)
def test_an_amount_is_read_as_people_write_it(text: str, currency: str, amount: int | None) -> None:
    assert minor(text, currency) == amount


@pytest.mark.parametrize("text", ["five", "5.001", "-1", "0", "NaN", "Infinity", "1e400"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        minor(text, "GBP")


def about(order: str) -> dict[str, Any]:
    return {"data": {"order": order}}


def test_an_id_leads_to_its_order_its_event_or_the_one_order_of_its_story() -> None:
    assert way("7", True, False, [], []) == "/orders/7"
    assert way("7", False, False, [about("7")], []) == "/orders/7"
    assert way("e/1", False, True, [], []) == "/events/e%2F1"
    assert way("story", False, False, [], [about("7"), {"data": "text"}, about("7")]) == "/orders/7"


def test_an_id_of_several_things_or_of_nothing_leads_nowhere() -> None:
    assert way("story", False, False, [], [about("7"), about("8")]) is None
    assert way("basil", False, False, [{"data": {"sku": "basil"}}], []) is None
    assert way("nothing", False, False, [], []) is None


def test_a_trace_is_known_by_its_id_and_by_a_whole_traceparent() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    for text in (trace, f"00-{trace}-00f067aa0ba902b7-01"):
        found = TRACE.fullmatch(text)
        assert found is not None
        assert found[1] == trace
    assert TRACE.fullmatch("01a22635-0c28-7311-b298-559b97fdbb8e") is None


def test_headers_of_a_record_are_read_and_lead_to_its_trace() -> None:
    raw = {
        "headers": [
            {"name": "ce_traceparent", "value_base64": "MDAtNGJmLTAwZi0wMQ=="},
            {"name": "x", "value_base64": "/w=="},
            {"name": "y", "value_base64": None},
        ]
    }
    assert record(raw) == [("ce_traceparent", "00-4bf-00f-01"), ("x", "\\xff"), ("y", "–")]
    assert trace_of(raw) == "4bf"
    assert trace_of({"headers": []}) is None


def test_the_slider_stands_at_the_last_event_that_had_happened_and_at_its_end_for_now() -> None:
    told = [step("placed", 0), step("reserved", 1), step("paid", 1), step("baked", 60)]
    moments = sorted({each["time"] for each in told})
    for chosen, place in (("", 3), ((NOON + timedelta(seconds=5)).isoformat(), 1), ("2020-01-01T00:00:00Z", 0)):
        shown = str(slider("7", told, chosen))
        assert f'max="{len(moments)}" value="{place}"' in shown
    assert "orders.reserved" in str(slider("7", told, moments[1]))
    assert 'value="3"' in str(slider("7", told, "no moment"))


def test_a_state_is_shown_as_people_read_it_and_who_cannot_tell_is_named() -> None:
    state = {"status": "placed", "total": {"amount": 2400, "currency": "GBP"}, "delayed": False, "reason": None}
    of = {"rebuilt": True, "since": NOON.isoformat(), "unheard": ["e1"], "unfit": [], "lacks": "Its timeline."}
    services = [
        {**of, "service": "orders", "state": {**state, "placed_at": NOON.isoformat(), "facts": ["a", "b"]}},
        {**of, "service": "loyalty", "state": None, "since": None, "unheard": []},
        {"service": "carts", "rebuilt": False},
    ]
    shown = str(states({"at": NOON.isoformat(), "services": services}))
    for text in (
        "24.00 GBP",
        "<dd>no</dd>",
        "<dd>–</dd>",
        "2026-11-27 12:00:00.000 UTC",
        "<dd>a, b</dd>",
        "changes here",
    ):
        assert text in shown, text
    assert "1 event had happened and had not been dealt with" in shown
    assert "It knew nothing of it." in shown
    assert "carts keep no state of an order" in shown
    assert "Nothing of this order had happened by then" in str(states(None))


@pytest.mark.parametrize("show", [searching.show, journey.show])
async def test_no_command_that_is_offered_does_what_somebody_put_into_an_address(
    show: Callable[[Ask], Awaitable[Page | str]],
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json={})

    hostile = "$(reboot) `reboot`; reboot '\""
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        services = Services(http, {"ledger": "http://ledger", "orders": "http://orders"})
        page = await show(Ask(ANYBODY, services, {"order": hostile}, {"q": hostile}))
    assert isinstance(page, Page)
    assert page.says
    for command in page.says:
        words = shlex.split(command.replace('"$(./sliceline token --as operator)"', "token"))
        assert "$" not in "".join(word for word in words if word != hostile)
        assert any(hostile == word or quote(hostile, safe="") in word for word in words)


async def test_a_change_leads_to_the_event_that_tells_of_it_where_there_is_one() -> None:
    change = {"at": NOON.isoformat(), "service": "orders", "by": None, "path": None, "outcome": None}
    told = [{**change, "event": "e1", "text": "It broke."}, {**change, "event": None, "text": "started, version 7"}]

    def answer(request: httpx.Request) -> httpx.Response:
        is_asked = request.url.path == "/changes"
        return httpx.Response(200, json={"items": told, "is_cut": False}) if is_asked else httpx.Response(404, json={})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        services = Services(http, {"ledger": "http://ledger", "alerts": "http://alerts"})
        shown = str(h.div[await operations.shop(Ask(ANYBODY, services))])
    assert '<a href="/events/e1">It broke.</a>' in shown
    assert "<td>started, version 7</td>" in shown


def test_what_stands_on_a_page_leads_to_pages_that_are_there() -> None:
    letters = str(steps.listeners({**step("placed", 0, listener("orders", state="parked")), "key": "a b"}))
    assert 'href="/dead-letters/orders?key=a+b"' in letters
    alert = {"sku": "a/b", "kind": "low", "available": 1, "raised_at": NOON.isoformat()}
    assert 'href="/stock/a%2Fb"' in str(h.div[operations.alerted({"items": [alert], "next": None})])


async def test_an_id_in_capitals_leads_where_it_does_in_small_letters_and_a_key_is_searched_as_it_is() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        is_known = request.url.path == "/orders/01a22727-0c28-7311-b298-559b97fdbb8e"
        return httpx.Response(200, json={}) if is_known else httpx.Response(404, json={})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        services = Services(http, {"orders": "http://orders", "ledger": "http://ledger"})
        to = await searching.show(Ask(ANYBODY, services, query={"q": "01A22727-0C28-7311-B298-559B97FDBB8E"}))
        await searching.show(Ask(ANYBODY, services, query={"q": "McGuffin"}))
    assert to == "/orders/01a22727-0c28-7311-b298-559b97fdbb8e"
    assert "/orders/McGuffin" in asked


def refusing(field: str) -> Callable[[httpx.Request], httpx.Response]:
    """Answers as services do that cannot read one of the things they are asked for."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/orders/7":
            return httpx.Response(404, json={})
        if request.url.path == "/orders/7/journey":
            return httpx.Response(200, json=NOTHING_YET)
        error = {"field": field, "message": "must be a timestamp like 2026-01-31T18:00:00Z"}
        is_wrong = request.url.params.get(field) == "foo"
        return httpx.Response(422 if is_wrong else 404, json={"errors": [error]} if is_wrong else {})

    return answer


async def test_what_is_no_moment_is_said_to_be_none_and_stays_in_its_field() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(refusing("until"))) as http:
        page = await tailing.events(Ask(ANYBODY, Services(http, {"ledger": "http://ledger"}), query={"at": "foo"}))
    shown = str(h.div[page.body])
    assert page.status == 422
    assert 'value="foo"' in shown
    assert '<small id="at-told">must be a timestamp' in shown


async def test_how_an_order_stood_is_said_of_no_moment_that_is_none() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(refusing("at"))) as http:
        services = Services(http, {"ledger": "http://ledger", "orders": "http://orders"})
        page = await journey.show(Ask(ANYBODY, services, {"order": "7"}, {"at": "foo"}))
    shown = str(h.div[page.body])
    assert "foo must be a timestamp like" in shown
    assert "Nothing of this order had happened by then" not in shown


@pytest.mark.parametrize("until", ["2026-11-27T11:59", "2026-11-27T12:00"])
async def test_orders_until_a_moment_before_they_begin_are_refused_at_the_field(until: str) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(refusing("since"))) as http:
        query = {"since": "2026-11-27T12:00", "until": until}
        page = await orders.show(Ask(ANYBODY, Services(http, {"orders": "http://orders"}), query=query))
    shown = str(h.div[page.body])
    assert page.status == 422
    assert f'value="{until}"' in shown
    assert '<small id="until-told">must be after' in shown
