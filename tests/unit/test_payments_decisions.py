"""The payment's state machine, and all of its interleavings against a model of what the provider promises."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from backbone.decision import Start
from services.payments import decisions
from services.payments.decisions import Decision, Payment, Status, Task
from services.payments.events import (
    Customer,
    Money,
    OrderCancelled,
    OrderPaymentDue,
    OrderPlaced,
    PaymentFailed,
    PaymentReceived,
    PaymentRefunded,
    PaymentVoided,
)

NOW = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
PLACED = OrderPlaced(order="o1", customer=Customer("ada"), total=Money(2400, "GBP"))


PATIENT = replace(PLACED, back_orderable=("margherita",))
DUE = OrderPaymentDue(order="o1", customer=Customer("ada"), total=Money(2400, "GBP"))


def standing(status: Status) -> Payment:
    return Payment(order="o1", customer="ada", amount=Money(2400, "GBP"), status=status, first_attempt_at=NOW)


def test_an_order_placed_is_queued_and_its_charge_scheduled() -> None:
    decision = decisions.placed(PLACED)
    assert (decision.state.status, decision.start, decision.events) == (Status.QUEUED, (Start(Task.CHARGE),), ())
    assert (decision.state.amount, decision.state.first_attempt_at) == (Money(2400, "GBP"), None)


def test_a_payment_is_held_back_while_the_order_waits_for_stock_and_queued_when_it_is_due() -> None:
    held = decisions.order_placed(None, PATIENT)
    assert held is not None
    assert (held.state.status, held.start, held.events) == (Status.HELD, (), ())
    assert decisions.order_placed(None, PLACED) == decisions.placed(PLACED)
    queued = decisions.order_payment_due(held.state, DUE)
    assert queued is not None
    assert queued == decisions.placed(PLACED)
    assert decisions.order_payment_due(queued.state, DUE) is None


def test_a_payment_that_is_due_before_its_order_is_heard_of_is_queued_once() -> None:
    queued = decisions.order_payment_due(None, DUE)
    assert queued == decisions.placed(PLACED)
    assert queued is not None
    assert decisions.order_placed(queued.state, PATIENT) is None


def test_a_payment_that_was_held_back_is_withdrawn_when_the_order_ends() -> None:
    decision = decisions.order_ended(standing(Status.HELD), OrderCancelled(order="o1", reason="too slow"))
    assert decision is not None
    assert (decision.state.status, decision.start) == (Status.WITHDRAWN, ())
    assert decision.events == (PaymentVoided(order="o1", reference="o1", reason="too slow"),)
    assert decisions.order_payment_due(decision.state, DUE) is None


def test_the_first_attempt_is_remembered_by_later_ones() -> None:
    first = decisions.begun(decisions.placed(PLACED).state, NOW)
    assert first is not None
    again = decisions.begun(first, NOW + timedelta(minutes=1))
    assert again == first
    assert first.first_attempt_at == NOW


def test_a_call_refused_for_its_rate_was_no_attempt_but_may_need_voiding() -> None:
    waiting = decisions.refused_for_rate(standing(Status.CHARGING))
    assert waiting is not None
    assert (waiting.status, waiting.first_attempt_at) == (Status.CHARGING, None)
    assert decisions.refused_for_rate(standing(Status.RECEIVED)) is None


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.QUEUED, Status.CHARGING}))
def test_what_is_decided_is_not_charged(status: Status) -> None:
    assert decisions.begun(standing(status), NOW) is None


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.CHARGING}))
def test_an_answer_that_comes_too_late_changes_nothing(status: Status) -> None:
    payment = standing(status)
    assert decisions.charged(payment) is None
    assert decisions.declined(payment, "no") is None
    assert decisions.given_up(payment, "no") is None


def test_giving_up_says_that_it_failed_and_voids_what_may_have_been_charged() -> None:
    decision = decisions.given_up(standing(Status.CHARGING), "no answer")
    assert decision is not None
    assert (decision.state.status, decision.start) == (Status.VOIDING, (Start(Task.VOID),))
    failed = PaymentFailed(order="o1", amount=Money(2400, "GBP"), reference="o1", reason="no answer")
    assert decision.events == (failed,)


def test_what_never_began_is_withdrawn_without_asking_anybody() -> None:
    decision = decisions.ended(standing(Status.QUEUED), "no stock")
    assert decision is not None
    assert (decision.state.status, decision.stop, decision.start) == (Status.WITHDRAWN, (Task.CHARGE,), ())


@pytest.mark.parametrize("status", [Status.CHARGING, Status.RECEIVED])
def test_what_began_is_undone_only_by_voiding(status: Status) -> None:
    decision = decisions.ended(standing(status), "no stock")
    assert decision is not None
    assert (decision.state.status, decision.stop, decision.start) == (
        Status.VOIDING,
        (Task.CHARGE,),
        (Start(Task.VOID),),
    )


def test_a_refund_tells_why() -> None:
    cancelled = decisions.ended(standing(Status.RECEIVED), "changed my mind")
    assert cancelled is not None
    decision = decisions.refunded(cancelled.state)
    assert decision is not None
    [told] = decision.events
    assert isinstance(told, PaymentRefunded)
    assert told.reason == "changed my mind"


def test_only_time_since_the_first_attempt_makes_a_payment_overdue() -> None:
    limit = timedelta(minutes=15)
    queued = decisions.placed(PLACED).state
    assert not decisions.is_overdue(queued, NOW + timedelta(days=1), limit)
    assert not decisions.is_overdue(standing(Status.CHARGING), NOW + limit - timedelta(seconds=1), limit)
    assert decisions.is_overdue(standing(Status.CHARGING), NOW + limit, limit)


@dataclass
class Provider:
    """What the provider promises: one charge per key, none after a void, and a void gives back what was charged."""

    declining: bool = False
    charges: int = 0
    refunds: int = 0
    voided: bool = False
    refused: bool = False

    def charge(self) -> str:
        if self.voided:
            return "voided"
        if self.charges:
            return "charged"
        if self.declining or self.refused:
            self.refused = True
            return "declined"
        self.charges += 1
        return "charged"

    def look_up(self) -> str:
        if self.charges:
            return "refunded" if self.refunds else "charged"
        return "voided" if self.voided else "declined" if self.refused else "absent"

    def void(self) -> str:
        self.voided = True
        self.refunds = self.charges
        return "refunded" if self.charges else "voided"


@dataclass
class Run:
    """One run of a job, somewhere between its steps. `lease` tells whether the job is still its own."""

    task: Task
    lease: int
    steps: list[str] = field(default_factory=list)
    answer: str | None = None


class Payments(RuleBasedStateMachine):
    """Any order of: placed, ended, a run begun, its calls arriving late, answered or lost, crashes, lost leases."""

    def __init__(self) -> None:
        super().__init__()
        self.provider = Provider()
        self.row: Payment | None = None
        self.jobs: dict[Task, int] = {}
        self.runs: list[Run] = []
        self.published: Counter[type] = Counter()
        self.leases = count()
        self.cancelled = False
        self.moves = self.ends_after = 0

    @initialize(declining=st.booleans(), ends_after=st.integers(0, 8))
    def begin(self, declining: bool, ends_after: int) -> None:
        self.provider.declining = declining
        self.ends_after = ends_after
        self._apply(decisions.placed(PLACED))

    @precondition(lambda self: self.moves >= self.ends_after or not (self.jobs or self.runs))
    @rule()
    def the_order_ends(self) -> None:
        """Rejected or cancelled, or one after the other."""
        assert self.row
        self.cancelled = True
        self._apply(decisions.ended(self.row, "cancelled"))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def a_worker_claims(self, data: st.DataObject) -> None:
        """Also a job that another worker is still at: that one's lease is lost, but it runs on."""
        self._claim(data.draw(st.sampled_from(sorted(self.jobs))))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), is_lost=st.booleans())
    def a_run_goes_on(self, data: st.DataObject, is_lost: bool) -> None:
        run = data.draw(st.sampled_from(self.runs))
        self._step(run, is_lost)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def a_worker_dies(self, data: st.DataObject) -> None:
        self.runs.remove(data.draw(st.sampled_from(self.runs)))

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def a_call_is_refused_for_its_rate(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        self.runs.remove(run)
        if run.steps[0] == "charge" and self.row:
            self.row = decisions.refused_for_rate(self.row) or self.row

    @precondition(lambda self: self.row and self.row.status is Status.CHARGING)
    @rule()
    def time_is_up(self) -> None:
        """A run that failed after the deadline settles on giving up."""
        if self.row and Task.CHARGE in self.jobs:
            del self.jobs[Task.CHARGE]
            self._apply(decisions.given_up(self.row, "no answer"))

    def teardown(self) -> None:
        """With good weather at last, everything comes to an end, and to the right one."""
        if self.row is None:
            return
        while self.jobs or self.runs:
            for run in list(self.runs):
                while run in self.runs:
                    self._step(run, is_lost=False)
            if self.jobs:
                self._claim(next(iter(self.jobs)))
        self._is_as_it_should_be()

    def _claim(self, task: Task) -> None:
        self.jobs[task] = next(self.leases)
        first = "void" if task is Task.VOID else "begin"
        self.runs.append(Run(task, self.jobs[task], [first, "settle"]))

    def _begin(self, run: Run) -> None:
        """After the wait for a slot, in which anything may have happened."""
        assert self.row
        begun = decisions.begun(self.row, NOW)
        if begun is None:
            return self._settle(run)
        run.steps.insert(0, "charge" if self.row.first_attempt_at is None else "ask")
        self.row = begun
        return None

    def _step(self, run: Run, is_lost: bool) -> None:
        self.moves += 1
        step = run.steps.pop(0)
        if step == "begin":
            return self._begin(run)
        if step == "settle":
            return self._settle(run)
        run.answer = {"ask": self.provider.look_up, "charge": self.provider.charge, "void": self.provider.void}[step]()
        if is_lost:  # it happened, and nobody hears of it: the job is tried again
            self.runs.remove(run)
        elif run.answer == "absent":
            run.steps.insert(0, "charge")
        return None

    def _settle(self, run: Run) -> None:
        """Only while the job is still this run's own."""
        self.runs.remove(run)
        if self.jobs.get(run.task) == run.lease and self.row:
            del self.jobs[run.task]
            self._apply(self._decided(self.row, run))

    def _decided(self, payment: Payment, run: Run) -> Decision | None:
        if run.answer is None:
            return None
        if run.task is Task.VOID:
            return decisions.refunded(payment) if run.answer == "refunded" else decisions.voided(payment)
        return decisions.charged(payment) if run.answer == "charged" else decisions.declined(payment, str(run.answer))

    def _apply(self, decision: Decision | None) -> None:
        if decision is None:
            return
        self.row = decision.state
        self.published.update(map(type, decision.events))
        for stopped in decision.stop:
            self.jobs.pop(Task(stopped), None)
        for started in decision.start:
            self.jobs[Task(started.kind)] = next(self.leases)

    def _is_as_it_should_be(self) -> None:
        assert self.row
        kept = self.provider.charges - self.provider.refunds
        received, failed = self.published[PaymentReceived], self.published[PaymentFailed]
        assert self.provider.charges <= 1
        assert kept == (1 if self.row.status is Status.RECEIVED else 0)
        assert received + failed <= 1
        assert self.published[PaymentRefunded] == self.provider.refunds
        assert self.published[PaymentRefunded] + self.published[PaymentVoided] == (0 if kept else 1)
        if self.cancelled:
            assert kept == 0
        else:
            assert received + failed == 1
            assert received == kept


Payments.TestCase.settings = settings(max_examples=400, stateful_step_count=30, deadline=None)
TestEveryInterleaving = Payments.TestCase
