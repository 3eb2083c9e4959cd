"""Reads who acts from the X-Actor header; events, timelines and mails name them."""

from pydantic import JsonValue

from backbone.http.problems import invalid
from backbone.values.sealed import holds_sealed
from backbone.values.texts import IN_WORDS, LINE, is_line

ACTOR = "X-Actor"
_LONGEST = 200
# Told, but checked by `actor_of`: it looks at the text, FastAPI would at its bytes.
SCHEMA: dict[str, JsonValue] = {"pattern": rf"^(?:{LINE[1:-1]})?$", "maxLength": _LONGEST}


def actor_of(given: str) -> str:
    """Return the one line of text that a header holds; without one "anonymous". Raises Problem 422."""
    actor = text_of(given).strip("\t ") or "anonymous"
    if len(actor) > _LONGEST:
        raise invalid([{"field": ACTOR, "message": f"must have at most {_LONGEST} characters"}])
    if holds_sealed(actor):
        raise invalid([{"field": ACTOR, "message": "must not hold a sealed text"}])
    if not is_line(actor):
        raise invalid([{"field": ACTOR, "message": IN_WORDS[LINE]}])
    return actor


def text_of(value: str) -> str:
    """Decode a header's value: as UTF-8 where it is that, as clients send it today, else Latin-1 (RFC 9110 5.5).

    ASGI's frameworks take every byte for a character of Latin-1.
    """
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value
