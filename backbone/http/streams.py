"""Sends the versions of a followed thing as server-sent events, as EventSource reads them (WHATWG HTML, 9.2).

Each event is the whole thing, and its id the number of its version. A client that comes again says which it had. It
gets what is newer or, where nothing new is expected, 204, after which EventSource does not come again.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Header, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from backbone.context import Context
from backbone.identity.caller import Caller
from backbone.running.following import Following, Version

HEARTBEAT = 15.0
"""Seconds without news after which a comment is sent, for proxies that take silence for an end (9.2.7)."""

RETRY = (1000, 3000)
"""Milliseconds after which a client comes again, between these: not all at once when a process stops."""

_LARGEST_NUMBER = 2**31 - 1
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

LastEventId = Annotated[
    str | None, Header(description="The id of the last event that a client had. Any other text counts as none.")
]
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole thing, at once and whenever it changes, until nothing more is expected"},
    204: {"description": "Nothing more is expected, and the client has the last version: do not come again"},
}


class EventStream(StreamingResponse):
    """Is an answer sent event by event; FastAPI's own cannot be chosen while a request is looked at."""

    media_type = "text/event-stream"


def stream(
    found: Version, following: Following, last_event_id: str | None, context: Context[Any], caller: Caller
) -> Response:
    """Answer with what is newer than the client's last version, and with all that comes until it is over.

    It ends with the caller's token as well: whoever comes again shows a new one.
    """
    had = _number(last_event_id)
    if had == found.number and _remaining(found.over_at) <= 0:
        return Response(status_code=204, headers=_HEADERS)
    return EventStream(_events(found, had, following, context, caller), headers=_HEADERS)


async def _events(
    found: Version, had: int | None, following: Following, context: Context[Any], caller: Caller
) -> AsyncIterator[bytes]:
    again = format_sse_event(retry=random.randint(*RETRY))  # noqa: S311  nobody has to be unable to guess it
    yield again if had == found.number else again + _event(found)
    with following.follow(found.key, found.number) as follower:
        while (remaining := _remaining(found.over_at, caller.over_at)) > 0 and not context.stopping.is_set():
            news = await follower.news(min(HEARTBEAT, remaining))
            yield _event(news) if news else KEEPALIVE_COMMENT
            found = news or found


def _event(version: Version) -> bytes:
    return format_sse_event(data_str=version.document.decode(), id=str(version.number))


def _remaining(*ends: float | None) -> float:
    """Return how many seconds are left until the first of these moments that is known."""
    known = [each for each in ends if each is not None]
    return min(known) - asyncio.get_running_loop().time() if known else float("inf")


def _number(last_event_id: str | None) -> int | None:
    text = last_event_id or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST_NUMBER)) else None
