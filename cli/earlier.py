"""Asks the ledger what came before a dead letter on its key: a service knows only what it has not handled."""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backbone.events.envelope import Envelope, from_record
from cli.answers import answer_of
from cli.running import running_shop

if TYPE_CHECKING:
    import httpx

LEDGER = "ledger"


def archived_before(letter: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the records before a letter, the oldest first; None where no ledger is there, or it has not kept it."""
    import httpx

    from cli.asking import client_of

    row = running_shop().rows.get(LEDGER)
    source = next((each["value"] for each in letter["headers"] if each["name"] == "ce_source"), None)
    if row is None or not row.address or not source or not letter["event"]:
        return None
    asked = {"event": letter["event"], "source": source}
    try:
        with client_of(row.address, timeout=10) as ledger:
            response = ledger.get("/records/before", params=asked)
    except httpx.HTTPError:
        return None
    return list(response.json()["events"]) if response.status_code == 200 else None


def states_of(client: "httpx.Client", records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say of each record what event it is, and what has become of it at the service."""
    events = [_event(each) for each in records]
    asked = [_asked(event, each) for event, each in zip(events, records, strict=True)]
    told = answer_of(client.post("/outcomes", json={"events": asked}))["outcomes"]
    return [f"{event.time[:19]} {event.type} {each['state']}" for event, each in zip(events, told, strict=True)]


def _event(record: Mapping[str, Any]) -> Envelope:
    headers = [(name, None if value is None else b64decode(value)) for name, value in record["headers"]]
    return from_record(b64decode(record["key"]), b64decode(record["value"]), headers)


def _asked(event: Envelope, record: Mapping[str, Any]) -> dict[str, Any]:
    attributes = ("id", "source", "type", "occurrenceid", "correlationid")
    place = {name: record[name] for name in ("topic", "partition", "offset")}
    return {**{name: getattr(event, name) for name in attributes}, **place}
