"""What becomes of endpoints and deliveries, decided without any I/O."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from backbone.decision import Decision, Start
from services.webhooks import decisions
from services.webhooks.asking import asked_for
from services.webhooks.decisions import DELIVER, PING
from services.webhooks.endpoint import Attempt, Delivery, Endpoint, Pinged, Round, Standing, Status
from services.webhooks.events import EndpointDisabled, EndpointFailing
from services.webhooks.messages import Message, echoes

NOW = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ACTIVE = Endpoint(id="e", url="https://hooks.example.com/", secret="whsec_a", created_at=NOW, status=Status.ACTIVE)
UNPROVEN = replace(ACTIVE, status=Status.UNPROVEN)
ECHOED, SILENT = Pinged(echoed=True, said=""), Pinged(echoed=False, said="It answered 200, without the challenge: hi")


def delivery(position: int = 1, key: str = "a", **known: Any) -> Delivery:
    return Delivery(**{"position": position, "key": key, "event_id": f"id-{position}", "body": "{}", "attempts": 0,
                       "first_attempt_at": None, **known})  # fmt: skip


def attempt(status: int | None = 200, **known: Any) -> Attempt:
    return Attempt(**{"delivery": delivery(), "at": NOW, "took_ms": 5, "status": status, "said": "no", **known})


def ended(*attempts: Attempt, **known: Any) -> Round:
    return Round(**{"url": ACTIVE.url, "attempts": attempts, **known})


def test_an_endpoint_that_echoes_its_challenge_is_active() -> None:
    decision = decisions.pinged(UNPROVEN, ECHOED, 1, NOW)
    assert (decision.state.status, decision.state.pinged_at) == (Status.ACTIVE, NOW)
    assert decision.start == (Start(DELIVER, due=NOW),)


def test_an_endpoint_that_does_not_echo_is_pinged_again_and_again() -> None:
    decision = decisions.pinged(UNPROVEN, SILENT, 3, NOW)
    assert decision.state.status is Status.UNPROVEN
    assert decision.state.ping_result == SILENT.said
    assert decision.start == (Start(PING, data={"tries": 4}, due=NOW + 8 * SECOND),)


def test_an_endpoint_is_not_pinged_for_ever() -> None:
    decision = decisions.pinged(UNPROVEN, SILENT, decisions.PINGS, NOW)
    assert decision.start == ()
    assert decision.state.reason == "It did not echo the challenge, and is not asked any more."


def test_a_ping_of_an_active_endpoint_only_tells_how_it_went() -> None:
    decision = decisions.pinged(ACTIVE, SILENT, 1, NOW)
    assert decision.state == replace(ACTIVE, pinged_at=NOW, ping_result=SILENT.said)
    assert (decision.start, decision.events) == ((), ())


@pytest.mark.parametrize("status", list(Status))
def test_a_new_address_has_to_prove_itself_unless_the_endpoint_is_disabled(status: Status) -> None:
    decision = decisions.changed(replace(ACTIVE, status=status), {"url": "https://other.example.com/"}, "ada")
    if status is Status.DISABLED:
        assert (decision.state.status, decision.start) == (Status.DISABLED, ())
    else:
        assert (decision.state.status, decision.start) == (Status.UNPROVEN, (Start(PING),))


def test_a_change_of_anything_else_keeps_an_endpoint_active() -> None:
    decision = decisions.changed(ACTIVE, {"concurrency": 9, "rate": 2.0}, "ada")
    assert decision.state == replace(ACTIVE, concurrency=9, rate=2.0)
    assert decision.start == ()


def test_somebody_disables_an_endpoint_and_enables_it_again() -> None:
    disabled = decisions.changed(replace(ACTIVE, failures=7), {"status": Status.DISABLED}, "ada")
    assert (disabled.state.status, disabled.state.reason) == (Status.DISABLED, "ada has disabled it.")
    assert disabled.stop == (PING,)
    enabled = decisions.changed(disabled.state, {"status": Status.ACTIVE}, "ada")
    assert (enabled.state.status, enabled.state.failures, enabled.state.reason) == (Status.UNPROVEN, 0, None)
    assert enabled.start == (Start(PING),)


def test_to_enable_an_endpoint_that_is_not_disabled_changes_nothing() -> None:
    assert decisions.changed(ACTIVE, {"status": Status.ACTIVE}, "ada").state == ACTIVE


def test_two_secrets_sign_for_a_day_and_then_one() -> None:
    rotated = decisions.rotated(ACTIVE, "whsec_b", NOW).state
    assert rotated.valid_secrets(NOW) == ("whsec_b", "whsec_a")
    assert rotated.valid_secrets(NOW + timedelta(days=1)) == ("whsec_b",)
    assert decisions.rotated(rotated, "whsec_c", NOW).state.valid_secrets(NOW) == ("whsec_c", "whsec_b")


def test_what_is_owed_plans_a_round() -> None:
    decision = decisions.owed(ACTIVE, NOW)
    assert decision is not None
    assert (decision.state.planned_at, decision.start) == (NOW, (Start(DELIVER, due=NOW),))


def test_a_round_that_is_due_or_runs_is_left_alone() -> None:
    assert decisions.owed(replace(ACTIVE, planned_at=NOW - SECOND), NOW) is None


def test_a_round_that_is_far_off_is_brought_forward() -> None:
    decision = decisions.owed(replace(ACTIVE, planned_at=NOW + timedelta(minutes=5)), NOW)
    assert decision is not None
    assert decision.state.planned_at == NOW


def test_a_receiver_that_asked_for_a_pause_has_it_whatever_it_is_owed() -> None:
    resting = replace(ACTIVE, planned_at=NOW + 60 * SECOND, rests_until=NOW + 60 * SECOND)
    assert decisions.owed(resting, NOW) is None


@pytest.mark.parametrize("status", [Status.UNPROVEN, Status.DISABLED])
def test_an_endpoint_that_is_not_active_is_sent_nothing(status: Status) -> None:
    endpoint = replace(ACTIVE, status=status)
    assert decisions.owed(endpoint, NOW) is None
    assert decisions.most_of_round(endpoint) == 0
    assert decisions.round_ended(endpoint, ended(), NOW, NOW).start == ()


def test_a_receiver_to_which_nothing_got_through_is_tried_with_one_event() -> None:
    assert decisions.most_of_round(ACTIVE) == 40
    assert decisions.most_of_round(replace(ACTIVE, failures=1)) == 1


def test_events_of_a_key_are_one_chain_where_order_matters() -> None:
    events = [delivery(at, key) for at, key in enumerate("abacba")]
    found = decisions.chains(replace(ACTIVE, ordered=True), events)
    assert [[each.position for each in chain] for chain in found] == [[0, 2, 5], [1, 4], [3]]


def test_each_event_is_sent_by_itself_where_order_does_not_matter() -> None:
    events = [delivery(at, "a") for at in range(4)]
    assert decisions.chains(ACTIVE, events) == [[each] for each in events]


def test_an_event_that_got_through_is_delivered() -> None:
    assert decisions.after(attempt(204), NOW).status is Standing.DELIVERED


@pytest.mark.parametrize("status", [None, 101, 199, 300, 301, 308, 400, 401, 404, 410, 429, 500, 503])
def test_any_other_answer_is_tried_again(status: int | None) -> None:
    settled = decisions.after(attempt(status), NOW)
    assert (settled.status, settled.due, settled.attempts) == (Standing.WAITING, NOW + 2 * SECOND, 1)
    assert settled.first_attempt_at == NOW


def test_pauses_double_up_to_a_quarter_of_an_hour_and_are_spread() -> None:
    assert [decisions.pause(failures, 0.0).total_seconds() for failures in (1, 2, 3, 9, 10, 1000)] == [
        2, 4, 8, 512, 900, 900,
    ]  # fmt: skip
    assert decisions.pause(10, 1.0) == timedelta(seconds=1350)


def test_an_event_is_given_up_a_day_after_its_first_attempt() -> None:
    tried = delivery(attempts=90, first_attempt_at=NOW - timedelta(days=1))
    assert decisions.after(attempt(500, delivery=tried), NOW).status is Standing.PARKED
    earlier = replace(tried, first_attempt_at=NOW - timedelta(hours=23))
    assert decisions.after(attempt(500, delivery=earlier), NOW).status is Standing.WAITING
    assert decisions.after(attempt(200, delivery=tried), NOW).status is Standing.DELIVERED


def test_a_round_plans_the_next_for_when_something_is_due() -> None:
    decision = decisions.round_ended(ACTIVE, ended(attempt()), NOW + SECOND, NOW)
    assert decision.state.planned_at == NOW + SECOND
    assert decision.start == (Start(DELIVER, due=NOW + SECOND),)


def test_a_round_after_which_nothing_is_owed_plans_none() -> None:
    decision = decisions.round_ended(replace(ACTIVE, planned_at=NOW), ended(attempt()), None, NOW)
    assert (decision.state.planned_at, decision.start) == (None, ())


def test_a_round_obeys_the_endpoints_rate() -> None:
    decision = decisions.round_ended(ACTIVE, ended(attempt(), free_at=NOW + 3 * SECOND), NOW, NOW)
    assert decision.state.planned_at == NOW + 3 * SECOND


def test_a_round_in_which_nothing_got_through_is_followed_by_a_rest() -> None:
    endpoint, rests, now = ACTIVE, [], NOW
    for _ in range(5):
        endpoint = decisions.round_ended(endpoint, ended(attempt(500), attempt(None)), now, now).state
        assert endpoint.planned_at is not None
        rests.append((endpoint.planned_at - now).total_seconds())
        now = endpoint.counts_from or now
    assert rests == [2, 4, 8, 10, 10]
    assert endpoint.failures == 5


def test_failures_count_at_longer_and_longer_intervals_however_many_events_fail() -> None:
    endpoint, counted = ACTIVE, []
    for second in range(100):
        now = NOW + second * SECOND
        before, endpoint = endpoint, decisions.round_ended(endpoint, ended(attempt(500)), now, now).state
        counted += [second] if endpoint.failures > before.failures else []
    assert counted == [0, 2, 6, 14, 30, 62]


def test_one_event_that_gets_through_ends_the_failing() -> None:
    decision = decisions.round_ended(replace(ACTIVE, failures=9), ended(attempt(500), attempt(200)), NOW, NOW)
    assert (decision.state.failures, decision.state.rests_until) == (0, None)


def test_a_receiver_is_back_when_it_was_down_and_something_gets_through() -> None:
    assert decisions.is_back(replace(ACTIVE, failures=5), ended(attempt(500), attempt(200)))
    assert not decisions.is_back(replace(ACTIVE, failures=5), ended(attempt(500)))
    assert not decisions.is_back(replace(ACTIVE, failures=4), ended(attempt(200)))


def test_a_pause_that_the_receiver_asks_for_is_obeyed_even_where_something_got_through() -> None:
    asked = attempt(429, pause=timedelta(minutes=30))
    for others in ((), (attempt(200),)):
        decision = decisions.round_ended(ACTIVE, ended(asked, *others), NOW, NOW)
        assert decision.state.planned_at == NOW + timedelta(minutes=30)


def test_a_round_in_which_nothing_was_sent_tells_nothing_about_the_receiver() -> None:
    failing = replace(ACTIVE, failures=3, rests_until=NOW - SECOND)
    assert decisions.round_ended(failing, ended(), NOW, NOW).state == replace(failing, planned_at=NOW)


@pytest.mark.parametrize("status", [200, 410, 503])
def test_what_an_old_address_answers_changes_nothing_at_the_new_one(status: int) -> None:
    down = replace(ACTIVE, failures=decisions.IS_BACK)
    old = ended(attempt(status, pause=timedelta(hours=1)), url="https://old.example.com/")
    assert decisions.round_ended(down, old, None, NOW) == Decision(down)
    assert not decisions.is_back(down, old)


def test_each_share_of_the_allowed_failures_is_told_once() -> None:
    endpoint, told = replace(ACTIVE, allowed_failures=20), []
    while endpoint.status is Status.ACTIVE:
        now = endpoint.counts_from or NOW
        decision = decisions.round_ended(endpoint, ended(attempt(500)), now, now)
        endpoint = decision.state
        told += [(endpoint.failures, event) for event in decision.events]
    percents = [(at, event.percent) for at, event in told if isinstance(event, EndpointFailing)]
    assert percents == [(10, 50), (14, 70), (18, 90), (20, 100)]
    assert told[-1][1] == EndpointDisabled(
        endpoint="e", reason="Nothing got through 20 times in a row. It answered 500."
    )


def test_a_receiver_that_is_gone_disables_its_endpoint_at_once() -> None:
    decision = decisions.round_ended(ACTIVE, ended(attempt(200), attempt(410)), NOW, NOW)
    assert (decision.state.status, decision.state.reason) == (Status.DISABLED, "It answered 410: it is gone.")
    assert decision.events == (EndpointDisabled(endpoint="e", reason="It answered 410: it is gone."),)
    assert decision.start == ()


BODY = '{"type": "sliceline.orders.order-placed.v1", "data": {"total": {"amount": 2400}}}'
PLACED, FOR_E = Message("1", "placed", "a", BODY), Message("2", "requested", "a", '"Hello"', only_for="e")


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        ({"type": [{"prefix": "sliceline.orders."}]}, [PLACED, FOR_E]),
        ({"data": {"total": {"amount": [{"numeric": [">", 2000]}]}}}, [PLACED, FOR_E]),
        ({"data": {"total": {"amount": [{"numeric": [">", 3000]}]}}}, [FOR_E]),
        (None, [FOR_E]),
    ],
)
def test_an_endpoint_gets_what_its_pattern_asks_for_and_what_rules_send_it(
    pattern: dict[str, Any] | None, asked: list[Message]
) -> None:
    endpoint, other = replace(ACTIVE, pattern=pattern), replace(ACTIVE, id="other", pattern={"data": [1]})
    assert asked_for([endpoint, other], [PLACED, FOR_E]) == {"e": asked}


def test_what_a_rule_sends_to_nobody_is_for_nobody_else() -> None:
    everything = replace(ACTIVE, id="other", pattern={"type": [{"prefix": ""}]})
    assert asked_for([everything], [FOR_E]) == {}


def test_a_changed_pattern_is_another_one() -> None:
    endpoint = replace(ACTIVE, pattern={"type": ["sliceline.orders.order-placed.v1"]})
    assert asked_for([endpoint], [PLACED]) == {"e": [PLACED]}
    assert asked_for([replace(endpoint, pattern={"type": ["other"]})], [PLACED]) == {}


@pytest.mark.parametrize("answer", ["abc", " abc\n", '{"challenge": "abc"}', '{"challenge":"abc"}\n'])
def test_a_challenge_comes_back_as_text_or_as_json(answer: str) -> None:
    assert echoes(answer, "abc")


@pytest.mark.parametrize(
    "answer",
    ["", "abcd", "<p>abc</p>", '{"data": {"challenge": "abc"}}', '{"challenge": "abc", "more": 1}', "[" * 9999],
)
def test_a_server_that_repeats_what_it_is_sent_proves_nothing(answer: str) -> None:
    assert not echoes(answer, "abc")
