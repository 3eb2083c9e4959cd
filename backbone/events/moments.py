"""Brings the times of events to the one form in which we write them: RFC 3339 in UTC, microseconds, and a `Z`."""

from datetime import UTC, datetime, timedelta

import msgspec


class BadTime(ValueError):
    """A text is no time of an event; the message goes on after the name of the attribute."""


def in_our_form(text: str) -> str:
    """Bring any RFC 3339 time with an offset to the one form we write. Raises BadTime."""
    try:
        moment = msgspec.convert(text, datetime)
        if len(text) == 27 and text[10] == "T" and text[26] == "Z":
            return text
        return _written(moment)
    except (msgspec.ValidationError, OverflowError):  # year 1 and year 9999 can leave the calendar
        if text[17:19] == "60":
            return _leaping(text)
        raise BadTime("is not a time in the form of RFC 3339") from None


def _leaping(text: str) -> str:
    """Turn a leap second, the last of a day in UTC (RFC 3339, 5.7), into the first second of the next day."""
    before = in_our_form(f"{text[:17]}59{text[19:]}")
    if before[11:19] != "23:59:59":
        raise BadTime("has a leap second in the middle of a day")
    try:
        return _written(datetime.fromisoformat(before) + timedelta(seconds=1))
    except OverflowError:
        raise BadTime("leaves the calendar") from None


def _written(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise BadTime("has no offset from UTC")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
