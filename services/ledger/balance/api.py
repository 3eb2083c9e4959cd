"""The balance sheet over HTTP, what somebody accepts of it, and its gauge."""

from typing import Any

from fastapi import APIRouter, Response

from backbone.http import Answer, Command, Problem
from backbone.http.context import Ctx
from backbone.http.permissions import may
from backbone.storage.database import Tx
from backbone.storage.gauges import Told
from services.ledger.balance import alarms, jobs, store
from services.ledger.balance.alarms import Acceptance, NotAsSaid, beyond, least
from services.ledger.balance.bodies import AcceptanceBody, AcceptedView, BalanceView, EntryView, NowAccepted, OpenView
from services.ledger.balance.decisions import Difference, Sheet
from services.ledger.balance.jobs import Look
from services.ledger.remembered import Found, Last

DIFFERENCE = Told(
    "balance_difference",
    "Events that the balance sheet misses, or has twice, at the last look, and that nobody has accepted",
    "consumer",
    jobs.differences,
)
SILENT = Told(
    "balance_silent_seconds",
    "How long a service has not answered the balance sheet's looks: it has no sheet, and no difference is told",
    "service",
    jobs.silences,
)
NOT_LISTED = {
    jobs.OWN: "It is the other side of every sheet: what it has not archived is there twice at whoever has handled it."
}
PROBLEMS = {
    "No such consumer": "No consumer of this name was on the sheet at any look; GET /balance lists those that are.",
    "Not what was found": "The last look has found more or less than is to be accepted; `detail` says how much.",
}

router = APIRouter()


@router.get("/balance", response_model=BalanceView)
@may("ledger.read")
async def get_balance(context: Ctx, last: Last = False) -> Any:
    """Holds what every consumer did with its events against what is archived, by distinct event.

    archived = applied + ignored + parked + held + discarded + in_flight, where none is missing and none twice. What is
    `open` cannot be compared at this moment, and `silent` services do not answer. `candidates` are events that came
    since it balanced last. `accepted` is what somebody has accepted; `differences` come on top of that.
    """
    found, age = await context.client(jobs.last_look).last() if last else Found(await jobs.look(context), 0.0)
    consumers = [_shown(found, sheet) for sheet in found.sheets]
    return {
        "at": found.at,
        "age_seconds": age,
        "balances": all(each["balances"] for each in consumers),
        "silent": found.silent,
        "not_listed": [{"consumer": name, "why": why} for name, why in NOT_LISTED.items()],
        "consumers": consumers,
    }


def _shown(found: Look, sheet: Sheet) -> dict[str, Any]:
    known = found.accepted.get(sheet.consumer, ())
    accepted, differences = least(known, sheet.differences), beyond(sheet.differences, known)
    return {
        "consumer": sheet.consumer,
        "balances": not differences,
        "entries": [EntryView.model_validate(each) for each in sheet.entries],
        "differences": [_different(found, sheet.consumer, each) for each in differences],
        "accepted": [AcceptedView.model_validate(each) for each in accepted],
        "open": [OpenView.model_validate(each) for each in sheet.open],
    }


def _different(found: Look, consumer: str, each: Difference) -> dict[str, Any]:
    return {
        "type": each.type,
        "topic": each.topic,
        "partition": each.partition,
        "missing": each.missing,
        "twice": each.twice,
        "candidates": found.candidates.get((consumer, each.cell), []),
    }


@router.post("/balance/acceptances", response_model=NowAccepted, responses={404: {}, 409: {}})
@may("ledger.accept")
async def accept_differences(body: AcceptanceBody, command: Command) -> Response:
    """Accepts what does not add up at a consumer, with a reason: it is an alarm no longer, and only more of it is.

    `missing` and `twice` are what GET /balance shows, so that nobody accepts what he has not seen. The event
    balance-accepted keeps who did so, when and why.
    """
    wanted = Acceptance(type=body.type, missing=body.missing, twice=body.twice, by=command.actor, reason=body.reason)

    async def effect(tx: Tx) -> Answer:
        known = await store.lock_alarm(tx, body.consumer)
        if known is None:
            raise Problem(404, "No such consumer", f"No {body.consumer} was on the sheet at any look.")
        try:
            decision = alarms.accept(known, wanted, tx.now)
        except NotAsSaid as refusal:
            raise Problem(409, "Not what was found", str(refusal)) from None
        await store.save_alarms(tx, [decision.state])
        tx.apply(decision, key=body.consumer)
        accepted = [AcceptedView.model_validate(each) for each in decision.state.accepted]
        return Answer(NowAccepted(consumer=body.consumer, accepted=accepted))

    return await command.run(effect)
