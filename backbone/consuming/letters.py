"""Reads dead letters for an operator: the groups of those that fail for one reason, and one as a page of facts."""

from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import msgspec
import orjson

from backbone.consuming import claims, letters_sql, parking
from backbone.consuming.batch import Incoming, Letter, NotFetched, read
from backbone.consuming.fingerprints import Frame, failing_paths, first_own
from backbone.consuming.handlers import Handlers, views_of
from backbone.errors import SlicelineError
from backbone.events import contracts
from backbone.events.envelope import is_type, parse_type
from backbone.observing.telemetry import trace_id_of
from backbone.running.pulse import describe
from backbone.storage.database import Database
from backbone.values import readable

MOST_GROUPS = 200
_DIGITS = 20
_SAME = ("id", "consumer", "topic", "partition", "offset", "key", "type", "parked_at", "attempts", "edit")


async def groups(database: Database, consumer: str) -> list[dict[str, Any]]:
    """Return the groups of letters that failed for one reason, the largest first."""
    rows = await letters_sql.GROUPS.fetch(database, consumer=consumer, most=MOST_GROUPS)
    return [_group(row, consumer) for row in rows]


def _group(row: asyncpg.Record, consumer: str) -> dict[str, Any]:
    told = {name: value for name, value in row.items() if name not in ("frames", "newest")}
    return {"consumer": consumer, **told, "frame": first_own(_frames(row)), "newest_letter": row["newest"]}


async def page(database: Database, consumer: str, handlers: Handlers, letter: int) -> dict[str, Any] | None:
    """Return all there is to know of a letter, its payload included; None when there is none of this number."""
    found = await letters_sql.LETTER_PAGE.fetch(database, consumer=consumer, letter=letter)
    if not found:
        return None
    row = found[0]
    record, key = parking.letter_of(row), {name: row[name] for name in ("consumer", "topic", "key")}
    now = await _read_now(record, handlers)
    before = await letters_sql.BEFORE_ON_KEY.fetch(database, **key, letter=letter)
    behind = await letters_sql.BEHIND_ON_KEY.fetch(database, **key, letter=letter)
    return {
        **{name: row[name] for name in _SAME},
        **_error(row, now.broken),
        **_envelope(row, record),
        "payload": _payload(now.record.value),
        "before": [dict(each) for each in before],
        "behind": [{name: each[name] for name in ("id", "type", "offset", "parked_at")} for each in behind],
        "held": behind[0]["all"] if behind else 0,
        **await _past(database, consumer, letter),
    }


async def _past(database: Database, consumer: str, letter: int) -> dict[str, Any]:
    """Return what was done to a letter so far."""
    edits = await letters_sql.EDITS_OF.fetch(database, consumer=consumer, letter=letter)
    tries = await letters_sql.TRIES_OF.fetch(database, consumer=consumer, letter=letter)
    acts = await letters_sql.ACTS_OF.fetch(database, letter=letter, among=orjson.dumps([letter]).decode())
    return {"edits": [*map(dict, edits)], "redrives": [*map(dict, tries)], "acts": [*map(act_shown, acts)]}


def act_shown(row: Any) -> dict[str, Any]:
    """Show one act; of many letters that it was of, their number."""
    about = {name: value for name, value in row["about"].items() if name != "letters"}
    return {**row, "about": about}


async def _read_now(record: Letter, handlers: Handlers) -> Incoming:
    """Decode a letter as it can be by now, with its data where that lies elsewhere."""
    views = views_of(handlers)
    incoming = read(record, views)
    if not isinstance(incoming.broken, NotFetched):
        return incoming
    try:
        return (await claims.redeem_all([incoming], views))[0]
    except OSError as error:
        return msgspec.structs.replace(incoming, broken=error)


def _error(row: asyncpg.Record, broken: Exception | None) -> dict[str, Any]:
    paths = row["failing"] or (failing_paths(broken) if broken else [])
    return {
        "error": row["error"],
        "group": row["group"],
        "failed_at": row["failed_at"],
        "frames": [msgspec.to_builtins(frame) for frame in _frames(row)],
        "failing": [{"path": path, "message": message} for path, message in paths],
        "reads_now": describe(broken) if broken else "It can be read.",
    }


def error_shown(row: asyncpg.Record, masked: Callable[[str], str]) -> dict[str, Any] | None:
    """Return what is known of a letter's error, without what is personal in its words; None when it never failed."""
    if row["error"] is None:
        return None
    kind, _, said = row["error"].partition(": ")
    return {"error": kind, "message": masked(said), "where": first_own(_frames(row)), "at": row["failed_at"]}


def _envelope(row: asyncpg.Record, record: Letter) -> dict[str, Any]:
    headers = [{"name": name, "value": value} for name, value in row["headers"]]
    text = {each["name"]: each["value"] for each in headers}
    return {
        "headers": headers,
        "contract": _contract(row["type"], text.get("ce_dataschema")),
        "event": text.get("ce_id"),
        "occurrence": text.get("ce_occurrenceid"),
        "correlation": text.get("ce_correlationid"),
        "trace": trace_id_of(text.get("ce_traceparent")),
        "sequence": _sequence(text.get("ce_sequence") or ""),
        "bytes": len(record.value or b""),
    }


def _sequence(written: str) -> int | None:
    """Read a sequence; one that is no number, or that no event of ours could have, is only among the headers."""
    digits = written.lstrip("0")
    return int(digits) if digits.isdecimal() and len(digits) <= _DIGITS else None


def _contract(event_type: str | None, dataschema: str | None) -> dict[str, Any] | None:
    """Tell which contract an event is under, and whether it is known here."""
    if event_type is None or not is_type(event_type):
        return None
    try:
        contracts.load(event_type)
        is_known = True
    except SlicelineError:
        is_known = False
    return {"version": parse_type(event_type).version, "dataschema": dataschema, "known": is_known}


def _payload(value: bytes | None) -> Any:
    """Return the data as JSON where it is that, else as text."""
    return None if value is None else readable.shown(value)


def _frames(row: asyncpg.Record) -> Sequence[Frame]:
    return msgspec.convert(row["frames"] or [], list[Frame])
