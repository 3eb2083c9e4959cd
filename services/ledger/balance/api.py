"""The balance sheet over HTTP, and its gauge."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from backbone.http.context import Ctx
from backbone.storage.gauges import Told
from services.ledger.balance import jobs
from services.ledger.balance.decisions import Difference, Sheet
from services.ledger.balance.jobs import Look

DIFFERENCE = Told(
    "balance_difference",
    "Events that the balance sheet misses, or has twice, at the last look",
    "consumer",
    jobs.differences,
)

router = APIRouter()


class EntryView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    type: str
    archived: int
    applied: int
    ignored: int
    parked: int
    held: int
    discarded: int
    in_flight: int
    copies: int
    missing: int
    twice: int


class DifferenceView(BaseModel):
    type: str
    topic: str
    partition: int
    missing: int
    twice: int
    candidates: list[str]


class OpenView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    topic: str
    partition: int
    why: str


class SheetView(BaseModel):
    consumer: str
    balances: bool
    entries: list[EntryView]
    differences: list[DifferenceView]
    open: list[OpenView]


class BalanceView(BaseModel):
    at: datetime
    balances: bool
    silent: list[str]
    consumers: list[SheetView]


@router.get("/balance", response_model=BalanceView)
async def get_balance(context: Ctx) -> Any:
    """Holds what every consumer did with its events against what is archived, by distinct event.

    archived = applied + ignored + parked + held + discarded + in_flight, where none is missing and none twice. What is
    `open` cannot be compared at this moment, and `silent` services do not answer. `candidates` are events that came
    since it balanced last.
    """
    found = await jobs.look(context)
    return {
        "at": found.at,
        "balances": not any(sheet.differences for sheet in found.sheets),
        "silent": found.silent,
        "consumers": [_shown(found, sheet) for sheet in found.sheets],
    }


def _shown(found: Look, sheet: Sheet) -> dict[str, Any]:
    return {
        "consumer": sheet.consumer,
        "balances": not sheet.differences,
        "entries": [EntryView.model_validate(each) for each in sheet.entries],
        "differences": [_different(found, sheet.consumer, each) for each in sheet.differences],
        "open": [OpenView.model_validate(each) for each in sheet.open],
    }


def _different(found: Look, consumer: str, each: Difference) -> dict[str, Any]:
    return {
        "type": each.type,
        "topic": each.topic,
        "partition": each.partition,
        "missing": each.missing,
        "twice": each.twice,
        "candidates": found.candidates.get((consumer, each), []),
    }
