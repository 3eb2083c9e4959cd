"""Writes an event as CloudEvents' JSON format (structured mode) has it, for whoever passes it on or matches it."""

from datetime import datetime

from backbone.events.payload import Event, Unread


def attributes_of(event: Event[Unread]) -> dict[str, str | bool]:
    """Return the attributes that an event has, to stand beside its `data`."""
    attributes = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": written(event.time),
        "datacontenttype": "application/json",
        "dataschema": event.data.dataschema,
        "partitionkey": event.key,
        "correlationid": event.correlationid,
        "causationid": event.causationid,
        "occurrenceid": event.occurrenceid,
        "sequence": f"{event.sequence:020d}",
        "traceparent": event.traceparent,
    }
    said = event.deprecation.attributes() if event.deprecation else {}
    return {**{name: value for name, value in attributes.items() if value is not None}, **said}


def written(at: datetime) -> str:
    """Write a time as CloudEvents do."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
