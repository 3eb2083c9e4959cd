"""Calls orders over HTTP. A call ends in one of the outcomes below; nothing else is raised."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import msgspec

from backbone.identity.own_token import NoToken, OwnToken
from backbone.observing.telemetry import traceparent_of
from backbone.values.texts import one_line
from services.carts.decisions import Objection

CALL_SECONDS = 10.0
"""The whole call, also when the answer trickles in; httpx's own timeouts are for each step."""
_MOST_ERRORS = 100
_LONGEST = 500


class Placed(msgspec.Struct, frozen=True):
    """Says that there is an order, made now or by an attempt before under the same key."""

    order: str


class Refused(msgspec.Struct, frozen=True):
    """Says that there is no order, and as it is there will be none."""

    reason: str
    errors: tuple[Objection, ...] = ()


class Unknown(msgspec.Struct, frozen=True):
    """Says that nothing usable was answered: there may be an order or not."""

    reason: str


Outcome = Placed | Refused | Unknown


class _Answer(msgspec.Struct):
    """Holds what is read of an answer: an order's id, or a problem document's words."""

    id: str = ""
    title: str = ""
    detail: str = ""
    errors: list[Objection] = []


class Orders:
    """Calls the API of orders."""

    def __init__(self, http: httpx.AsyncClient, url: str, own_token: OwnToken) -> None:
        self._http = http
        self._own_token = own_token
        self._url = url.rstrip("/")

    async def place(self, order: Mapping[str, Any], key: str, story: str) -> Outcome:
        """Place an order under an Idempotency-Key: however often, there is one. It belongs to the checkout's story."""
        headers = {"Idempotency-Key": key, "X-Correlation-Id": story}
        if traceparent := traceparent_of():
            headers["traceparent"] = traceparent
        try:
            async with asyncio.timeout(CALL_SECONDS):
                headers |= await self._own_token.headers()
                answer = await self._http.post(f"{self._url}/orders", json=dict(order), headers=headers)
            self._own_token.heed(answer.status_code)
            return _outcome(answer)
        except NoToken as error:
            return Unknown(str(error))
        except TimeoutError:
            return Unknown(f"no answer within {CALL_SECONDS:g} s")
        except httpx.HTTPError as error:
            return Unknown(f"{type(error).__name__}: {error}")


def _outcome(response: httpx.Response) -> Outcome:
    answer, status = _answer(response), response.status_code
    if status == 202 and answer.id:
        return Placed(answer.id)
    if status in (400, 409, 413, 422):
        errors = tuple(Objection(_text(each.field), _text(each.message)) for each in answer.errors[:_MOST_ERRORS])
        return Refused(_reason(answer, errors) or f"Orders refused with the status {status}.", errors)
    # A stray 404 is somebody's mistake in the configuration: it passes when it is mended.
    return Unknown(f"answered {status} {_text(answer.title)}".strip())


def _reason(answer: _Answer, errors: Sequence[Objection]) -> str:
    """Say what is wrong; that "one field is not acceptable" helps nobody who does not see which."""
    said = _text(answer.detail or answer.title)
    if any(each.message == said for each in errors):
        return said
    return _text("; ".join(f"{each.field} {each.message}" for each in errors)) or said


def _answer(response: httpx.Response) -> _Answer:
    try:
        return msgspec.json.decode(response.content, type=_Answer)
    except msgspec.MsgspecError:
        return _Answer()


def _text(value: str) -> str:
    """Make a text fit to be stored and shown, whatever was sent."""
    return one_line(value)[:_LONGEST]
