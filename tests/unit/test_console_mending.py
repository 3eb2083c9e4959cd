"""What the console's pages of dead letters, consumers and acts work out by themselves."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import htpy as h
import httpx
import pytest

from services.console import reading
from services.console.asking import Ask, Services
from services.console.chains import Wanted
from services.console.everywhere import whole_number
from services.console.letter_forms import selection
from services.console.pages import consumers, dead_letters, tailing
from services.console.pages.dead_letters import counted, name_of
from services.console.pages.letter import lines
from services.console.pages.redrives import of
from services.console.reading import Behind, Rates
from services.console.session import ANYBODY

METRICS = """
# TYPE sliceline_consumer_lag gauge
sliceline_consumer_lag{topic="orders.events"} 7.0
sliceline_consumer_lag{topic="kitchen.events"} 2.0
# TYPE sliceline_consumer_lag_seconds gauge
sliceline_consumer_lag_seconds{consumer="a",topic="orders.events"} 3.5
# TYPE sliceline_other gauge
sliceline_other{topic="orders.events"} 9.0
"""


def test_the_lag_of_each_topic_is_read_from_metrics_and_summed_up() -> None:
    found = reading.behind(METRICS)
    assert found == {"orders.events": Behind(7, 3.5), "kitchen.events": Behind(2, None)}
    assert reading.whole(found.values()) == Behind(9, 3.5)
    assert reading.whole([Behind(2, None)]) == Behind(2, None)
    assert reading.whole([]) is None


@pytest.mark.parametrize(
    ("lag", "rate", "seconds"),
    [
        (Behind(100, None), 20.0, 5.0),
        (Behind(0, None), 0.0, 0.0),
        (Behind(1, None), 0.0, math.inf),
        (Behind(1, None), None, None),
        (None, 1.0, None),
    ],
)
def test_the_time_to_catch_up_follows_from_lag_and_rate(
    lag: Behind | None, rate: float | None, seconds: float | None
) -> None:
    assert reading.catching_up(lag, rate) == seconds


def test_a_rate_is_measured_over_a_window_and_begins_anew_where_offsets_go_back() -> None:
    rates = Rates(window=10)
    assert rates.tell("a", 100, at=0) is None
    assert rates.tell("a", 110, at=0.5) is None
    assert rates.tell("a", 150, at=5) == 10
    assert rates.tell("a", 150, at=14) == 0
    assert rates.tell("b", 7, at=14) is None
    assert rates.tell("a", 0, at=15) is None
    assert rates.tell("a", 4, at=17) == 2


def counts(event_type: str, partition: int = 0, **fates: int) -> dict[str, Any]:
    return {"topic": "t", "partition": partition, "type": event_type, **dict.fromkeys(reading.FATES, 0), **fates}


def test_what_became_of_events_is_counted_by_type_and_versions_that_had_no_effect_are_not_read() -> None:
    handled: Mapping[str, Any] = {
        "consumers": [
            {
                "places": [
                    {"topic": "t", "partition": 0, "next_offset": 5},
                    {"topic": "t", "partition": 1, "next_offset": -1},
                ],
                "counts": [
                    counts("sliceline.orders.order-placed.v1", applied=2, parked=1),
                    counts("sliceline.orders.order-placed.v1", 1, applied=1),
                    counts("sliceline.orders.order-placed.v2", repeated=3),
                    counts("sliceline.orders.order-moved.v1", ignored=9),
                    counts("", parked=1),
                ],
            }
        ]
    }
    assert reading.by_type(handled)["sliceline.orders.order-placed.v1"]["applied"] == 3
    assert reading.versions(handled) == {"sliceline.orders.order-placed": ["v1", "v2"]}
    assert (reading.read_so_far(handled), reading.partitions(handled)) == (5, 2)
    assert reading.places(handled) == {("t", 0): 5, ("t", 1): -1}


def test_lines_that_fail_are_marked_by_a_sign_as_well() -> None:
    shown = str(h.pre[lines({"order": "<a>", "lines": "many"}, ["lines"])])
    assert '<span class="fails"><span class="sign">! </span>  &#34;lines&#34;: &#34;many&#34;' in shown
    assert shown.count("fails") == 1
    assert "<a>" not in shown


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ({"letter": "7", "reason": "x"}, {"letter": 7}),
        ({"key": "a"}, {"key": "a"}),
        ({"group": "0123456789ab", "key": ""}, {"group": "0123456789ab"}),
        ({"letter": "seven"}, {"letter": -1}),
        ({}, {"all": True}),
    ],
)
def test_a_form_names_letters_as_services_are_asked_for_them(form: Mapping[str, str], asked: Mapping[str, Any]) -> None:
    assert selection(form) == asked


def test_a_redrive_says_what_it_takes() -> None:
    none = {"letter": None, "key": None, "group": None}
    assert [of({**none, **each}) for each in ({"letter": 3}, {"key": "a"}, {"group": "b"}, {})] == [
        "letter 3",
        "all of a",
        "those of cause b",
        "all that are parked",
    ]


def test_an_event_is_named_without_its_origin_and_counts_without_a_silent_limit() -> None:
    assert name_of("sliceline.orders.order-placed.v1") == "order-placed.v1"
    assert (name_of(None), name_of("odd")) == ("no type", "odd")
    assert (counted(1, "event"), counted(10_000, "event")) == ("1 event", "10,000 or more events")


ACT = {
    "actor": "Olga",
    "what": "POST /pauses",
    "path": "/pauses",
    "outcome": "refused",
    "at": "2026-11-29T12:00:00Z",
}
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), True),
        (Wanted(actor="olg", act="post /pau", outcome="refused", since=NOON), True),
        (Wanted(actor="rita"), False),
        (Wanted(act="redrive"), False),
        (Wanted(outcome="done"), False),
        (Wanted(until=NOON), False),
    ],
)
def test_acts_are_found_by_who_what_outcome_and_time(wanted: Wanted, found: bool) -> None:
    assert wanted.has(ACT) is found


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("42", 42), ("9" * 18, 10**18 - 1), ("9" * 5000, None), ("-1", None), ("٣", None)]
)
def test_a_number_of_an_address_is_read_and_one_that_nothing_can_have_is_none(text: str, number: int | None) -> None:
    assert whole_number(text) == number
    assert selection({"letter": text}) == {"letter": -1 if number is None else number}


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59", "0001-01-01T00:00:00", "2026-11-29T12:00:00"])
def test_events_can_be_read_at_the_ends_of_the_calendar(moment: str) -> None:
    ask = Ask(None, Services(httpx.AsyncClient(), {}), query={"at": moment})
    shown = str(h.div[tailing.reading(ask, "/events", {"items": [], "next": None, "looked_at": 0})])
    assert "10 min later" in shown
    assert "10 min earlier" in shown


async def test_a_pause_is_said_before_how_the_parts_of_a_consumer_are() -> None:
    pauses = [{"what": "consumer", "name": "orders"}, {"what": "key", "name": "k1"}]
    answers: dict[str, Any] = {
        "/handled": {"consumers": []},
        "/health/ready": {"status": "ok"},
        "/backlog": {"pauses": pauses},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        is_text = request.url.path == "/metrics"
        return httpx.Response(200, text="") if is_text else httpx.Response(200, json=answers[request.url.path])

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        ask = Ask(
            ANYBODY, Services(http, {"orders": "http://orders", "ledger": "http://ledger"}), {"service": "orders"}
        )
        paused = str(h.fragment[await consumers.figures(ask)])
        pauses.clear()
        runs = str(h.fragment[await consumers.figures(ask)])
    assert paused.startswith('<div class="notice waits"')
    assert "Somebody has paused the consumer and key k1." in paused
    assert "All its parts run." not in paused
    assert "All its parts run." in runs


@pytest.mark.parametrize(
    ("error", "count", "is_one_of_several"),
    [("KeyError: 'cola'", 4, True), ("KeyError: 'cola'", 1, False), ("TimeoutError", 4, False)],
)
async def test_a_cause_says_where_it_quotes_one_event_of_several(
    error: str, count: int, is_one_of_several: bool
) -> None:
    group = {"consumer": "orders", "group": "g", "error": error, "frame": "", "type": "t", "count": count, "keys": 1}
    parked = {"events": count, "keys": 1, "since": "2026-11-29T12:00:00Z"}
    backlog = {"parked": parked, "outbox": {"refused": 0}, "jobs": []}

    def answer(request: httpx.Request) -> httpx.Response:
        found = {"items": [{**group, "held": 0, "last_at": parked["since"]}]}
        return httpx.Response(200, json=backlog if request.url.path == "/backlog" else found)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        page = await dead_letters.overview(Ask(ANYBODY, Services(http, {"orders": "http://orders"})))
    assert ("for others it may name something else" in str(h.fragment[page.body])) == is_one_of_several
