"""Decides in pure functions what becomes of endpoints and deliveries.

    unproven ──► active ──► disabled        it echoed a ping's challenge; it is gone, or failed for too long
        ▲           │           │
        └───────────┴───────────┘           its address was changed, or somebody enables it

An endpoint has at most one job that delivers, and `planned_at` says when it is due: a round, which sends several events
at once and plans the next. So a receiver that is slow or dead holds up only itself, however much it is owed.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from backbone.decision import Decision, Start
from services.webhooks.endpoint import Attempt, Delivery, Endpoint, Pinged, Round, Settled, Standing, Status
from services.webhooks.events import EndpointDisabled, EndpointFailing

DELIVER = "deliver"
"""The job that sends an endpoint what it is owed."""
PING = "ping"
"""The job that asks an endpoint to prove itself."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=15)
"""An event that fails is sent again after the first; each further failure doubles it, up to the longest."""
PATIENCE = timedelta(days=1)
"""So long an event is tried."""
PINGS = 10
"""So often an endpoint is asked to prove itself."""
OVERLAP = timedelta(days=1)
"""So long the secret before the newest signs as well."""
SHARES = (50, 70, 90, 100)
"""At which shares of the failures that are allowed somebody is told."""
LONGEST_REST = timedelta(seconds=10)
"""So long an event that was never tried waits for a receiver to which nothing gets through: it may fare better."""
IS_BACK = 5
"""After so many failures in a row all that waits is due at once when something gets through."""
BURST = 10
"""Events that each of an endpoint's senders gets for a round."""
_LONGEST_REASON = 200


def changed(endpoint: Endpoint, changes: Mapping[str, Any], by: str) -> Decision[Endpoint]:
    """Change what somebody asks for. An address that is new, or enabled again, has to prove itself first.

    Where an endpoint was active before, events wait for it meanwhile.
    """
    wanted = changes.get("status")
    after = replace(endpoint, **{name: value for name, value in changes.items() if name != "status"})
    if wanted is Status.DISABLED:
        return Decision(replace(after, status=Status.DISABLED, reason=f"{by} has disabled it."), stop=(PING,))
    enabled = wanted is Status.ACTIVE and endpoint.status is Status.DISABLED
    if not enabled and (endpoint.status is Status.DISABLED or after.url == endpoint.url):
        return Decision(after)
    unproven = replace(after, status=Status.UNPROVEN, reason=None, failures=0, counts_from=None, rests_until=None)
    return Decision(unproven, start=(Start(PING),))


def rotated(endpoint: Endpoint, secret: str, now: datetime) -> Decision[Endpoint]:
    """Sign by a new secret, and for a while by the one before as well."""
    return Decision(replace(endpoint, secret=secret, old_secret=endpoint.secret, old_secret_until=now + OVERLAP))


def asked_to_prove(endpoint: Endpoint) -> Decision[Endpoint]:
    """Ping an endpoint: a new one, or one that somebody asks about."""
    return Decision(endpoint, start=(Start(PING),))


def pinged(endpoint: Endpoint, ping: Pinged, tries: int, now: datetime) -> Decision[Endpoint]:
    """Let an endpoint that echoed the challenge have its events; ping one again that did not."""
    known = replace(endpoint, pinged_at=now, ping_result="It echoed the challenge." if ping.echoed else ping.said)
    if endpoint.status is not Status.UNPROVEN:
        return Decision(known)
    if ping.echoed:
        active = replace(known, status=Status.ACTIVE, proven=True, reason=None)
        return owed(active, now) or Decision(active)
    if tries >= PINGS:
        return Decision(replace(known, reason="It did not echo the challenge, and is not asked any more."))
    return Decision(known, start=(Start(PING, data={"tries": tries + 1}, due=now + pause(tries, ping.jitter)),))


def owed(endpoint: Endpoint, now: datetime) -> Decision[Endpoint] | None:
    """Plan a round for what an endpoint is owed from now on; None where one comes soon enough, or runs.

    A round that runs looks again before it ends; its job must not be replaced, or what it has sent would be forgotten.
    """
    due = max(now, endpoint.rests_until or now)
    if endpoint.status is not Status.ACTIVE or (endpoint.planned_at is not None and endpoint.planned_at <= due):
        return None
    return Decision(replace(endpoint, planned_at=due), start=(Start(DELIVER, due=due),))


def round_begins(endpoint: Endpoint, now: datetime) -> Endpoint:
    """Note that the endpoint's job runs from now on."""
    return replace(endpoint, planned_at=min(endpoint.planned_at or now, now))


def most_of_round(endpoint: Endpoint) -> int:
    """Say how many events a round takes: none where none may be sent, one where nothing got through before."""
    if endpoint.status is not Status.ACTIVE:
        return 0
    return 1 if is_failing(endpoint) else endpoint.concurrency * BURST


def is_failing(endpoint: Endpoint) -> bool:
    """Tell whether nothing got through last. Then the event tried least is tried next: another may be the trouble."""
    return endpoint.failures > 0


def chains(endpoint: Endpoint, deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """Share a round's events out into chains, each of which is sent one by one.

    Where the order of a key matters, a chain is all events of a key; elsewhere it is one event.
    """
    found: dict[Any, list[Delivery]] = {}
    for each in deliveries:
        found.setdefault(each.key if endpoint.ordered else each.position, []).append(each)
    return list(found.values())


def after(attempt: Attempt, now: datetime) -> Settled:
    """Say how a delivery stands after an attempt: done, due again later, or given up."""
    delivery = attempt.delivery
    first, tried = delivery.first_attempt_at or attempt.at, delivery.attempts + 1
    status, due = Standing.WAITING, now + pause(tried, attempt.jitter)
    if attempt.got_through:
        status = Standing.DELIVERED
    elif now - first >= PATIENCE:
        status = Standing.PARKED
    return Settled(position=delivery.position, status=status, due=due, attempts=tried, first_attempt_at=first)


def round_ended(endpoint: Endpoint, ended: Round, next_due: datetime | None, now: datetime) -> Decision[Endpoint]:
    """Judge an endpoint by what came of a round, and plan the next one for when something is due."""
    judged = _judged(endpoint, ended, now)
    events = (*_alerts(endpoint, judged.state, ended), *judged.events)
    state = judged.state
    if state.status is not Status.ACTIVE or next_due is None:
        return Decision(replace(state, planned_at=None), events)
    due = max(next_due, now, *(each for each in (state.rests_until, ended.free_at) if each))
    return Decision(replace(state, planned_at=due), events, start=(Start(DELIVER, due=due),))


def is_back(endpoint: Endpoint, ended: Round) -> bool:
    """Tell whether something got through to a receiver that was down: then nothing need wait longer."""
    return (
        ended.url == endpoint.url and endpoint.failures >= IS_BACK and any(each.got_through for each in ended.attempts)
    )


def _judged(endpoint: Endpoint, ended: Round, now: datetime) -> Decision[Endpoint]:
    if ended.url != endpoint.url:  # what another address answered tells nothing of this one
        return Decision(endpoint)
    failed = [each for each in ended.attempts if not each.got_through]
    if any(each.is_gone for each in failed):
        return _disabled(endpoint, "It answered 410: it is gone.")
    if not ended.attempts:
        return Decision(endpoint)
    asked = max((each.pause for each in failed if each.pause), default=timedelta())
    if len(failed) < len(ended.attempts):
        rests = now + asked if asked else None
        return Decision(replace(endpoint, failures=0, counts_from=None, rests_until=rests))
    failing = _counted(endpoint, failed[-1], now)
    rests = now + max(asked, min(LONGEST_REST, pause(failing.failures, failed[-1].jitter)))
    failing = replace(failing, rests_until=rests)
    if failing.failures < endpoint.allowed_failures:
        return Decision(failing)
    return _disabled(failing, f"Nothing got through {failing.failures} times in a row. {failed[-1].failure}")


def _counted(endpoint: Endpoint, failed: Attempt, now: datetime) -> Endpoint:
    """Count a failure, unless it comes so soon after the one before that it tells nothing new."""
    if endpoint.counts_from is not None and now < endpoint.counts_from:
        return endpoint
    failures = endpoint.failures + 1
    return replace(endpoint, failures=failures, counts_from=now + pause(failures, failed.jitter))


def _alerts(before: Endpoint, state: Endpoint, ended: Round) -> Iterable[EndpointFailing]:
    """Tell of each share of the allowed failures that is reached now, once."""
    for share in SHARES:
        if before.failures * 100 < share * before.allowed_failures <= state.failures * 100:
            yield EndpointFailing(
                endpoint=before.id,
                percent=share,
                failures=state.failures,
                allowed_failures=before.allowed_failures,
                reason=ended.attempts[-1].failure[:_LONGEST_REASON],
            )


def _disabled(endpoint: Endpoint, reason: str) -> Decision[Endpoint]:
    disabled = EndpointDisabled(endpoint=endpoint.id, reason=reason[:_LONGEST_REASON])
    return Decision(replace(endpoint, status=Status.DISABLED, reason=reason), (disabled,))


def pause(failures: int, jitter: float) -> timedelta:
    """Say how long to wait after so many failures in a row.

    `jitter`, from 0 to 1, lengthens it by up to a half, so that those who fail together do not come back together.
    """
    doubled = FIRST_PAUSE * (1 << min(failures - 1, 16))
    return min(doubled, LONGEST_PAUSE) * (1 + jitter / 2)
