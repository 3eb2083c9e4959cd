"""The payment provider over HTTP. Every call ends in one of the outcomes below; nothing else is raised."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx
import msgspec

from backbone.values.texts import one_line
from services.payments.decisions import Payment, Refund

# The whole call, also when the answer trickles in; httpx's own timeouts are for each step.
CALL_SECONDS = 10.0
# Each call has a connection of its own. HTTP tells answers apart by their order alone: were one sent twice, the second
# would be taken for the answer to what is asked next on the same connection, and that is another order's money.
_ALONE = {"Connection": "close"}
_LONGEST_PAUSE = timedelta(hours=1)


class Charged(msgspec.Struct, frozen=True):
    """Tells that the payment is charged under this reference, and not given back."""


class Declined(msgspec.Struct, frozen=True):
    """Tells that nothing was charged: the customer's bank will not pay."""

    reason: str


class Voided(msgspec.Struct, frozen=True):
    """Tells that nothing is charged under this reference, nor ever will be.

    `refunded` tells that something was, and was given back.
    """

    refunded: bool


class Paid(msgspec.Struct, frozen=True):
    """Tells that the refund of this name was given back."""


class Absent(msgspec.Struct, frozen=True):
    """Tells that the provider knows nothing of this reference."""


class Refused(msgspec.Struct, frozen=True):
    """Tells that the provider does not accept this request, nor will accept it again as it is."""

    reason: str


class Busy(msgspec.Struct, frozen=True):
    """Tells that the provider refused the call for the rate of our calls; nothing was done."""

    retry_after: timedelta


class Unknown(msgspec.Struct, frozen=True):
    """Tells that no usable answer came: the call may have had its effect or not."""

    reason: str


Outcome = Charged | Declined | Voided | Paid | Absent | Refused | Busy | Unknown


class _Answer(NamedTuple):
    """Holds what we read of an answer's body.

    A problem document has `code`, and `reason` or `detail`.
    """

    status: str = ""
    code: str = ""
    reason: str = ""
    detail: str = ""


class Provider:
    """Calls the provider's HTTP API."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url.rstrip("/")

    async def charge(self, payment: Payment) -> Outcome:
        """Charge a payment, with the order's id as reference and as Idempotency-Key.

        However often this is asked, the payment is charged once.
        """
        body = {
            "reference": payment.order,
            "amount": {"amount": payment.amount.amount, "currency": payment.amount.currency},
            "customer": payment.customer,
        }
        return await self._call("POST", "/charges", json=body, key=payment.order)

    async def look_up(self, order: str) -> Outcome:
        """Ask what happened under this order's reference; Absent when nothing did."""
        return await self._call("GET", f"/charges/{order}")

    async def void(self, order: str) -> Outcome:
        """Give back what was charged and refuse what may come."""
        return await self._call("POST", "/voids", json={"reference": order})

    async def refund(self, refund: Refund) -> Outcome:
        """Give back a part of what was charged, once however often this is asked: the refund's id names it."""
        amount = {"amount": refund.amount.amount, "currency": refund.amount.currency}
        return await self._call(
            "POST", "/refunds", json={"reference": refund.order, "refund": refund.id, "amount": amount}
        )

    async def _call(self, method: str, path: str, json: Any = None, key: str | None = None) -> Outcome:
        headers = _ALONE if key is None else {**_ALONE, "Idempotency-Key": key}
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return _outcome(await self._http.request(method, self._url + path, json=json, headers=headers))
        except TimeoutError:
            return Unknown(f"no answer within {CALL_SECONDS:g} s")
        except httpx.HTTPError as error:
            return Unknown(f"{type(error).__name__}: {error}")


def _outcome(response: httpx.Response) -> Outcome:
    answer, status = _answer(response), response.status_code
    if status in (200, 201):
        return _known(answer.status)
    if status == 402 or answer.code == "declined":
        return Declined(answer.reason or "no reason given")
    if status == 409 and answer.code == "voided":
        return Voided(refunded=False)
    if status == 404 and answer.code == "unknown":
        return Absent()
    if status == 429:
        return Busy(_retry_after(response.headers))
    if status in (400, 409, 422) or answer.code == "not-charged":
        return Refused(f"{status} {answer.code} {answer.detail}".strip())
    # A 401 or a stray 404 is somebody's mistake in the configuration: it passes when it is mended.
    return Unknown(f"answered {status} {answer.code}".strip())


def _known(status: str) -> Outcome:
    outcomes: dict[str, Outcome] = {
        "charged": Charged(),
        "declined": Declined("no reason given"),
        "voided": Voided(refunded=False),
        "refunded": Voided(refunded=True),
        "paid": Paid(),
    }
    return outcomes.get(status, Unknown(f"answered with the status {status!r}"))


def _answer(response: httpx.Response) -> _Answer:
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.MsgspecError:
        body = None
    return _Answer(*(_text(body.get(name)) for name in _Answer._fields)) if isinstance(body, dict) else _Answer()


def _text(value: object) -> str:
    """Make a text fit to be stored and shown, whatever was sent."""
    return one_line(value)[:200] if isinstance(value, str) else ""


def _retry_after(headers: httpx.Headers) -> timedelta:
    """Return the pause asked for, in seconds or as a date (RFC 9110, 10.2.3).

    It is one second when there is neither.
    """
    value = headers.get("Retry-After", "")
    try:
        pause = timedelta(seconds=int(value)) if value.isdigit() else parsedate_to_datetime(value) - _sent_at(headers)
    except (ValueError, TypeError, OverflowError):
        return timedelta(seconds=1)
    return min(max(pause, timedelta()), _LONGEST_PAUSE)


def _sent_at(headers: httpx.Headers) -> datetime:
    """Return when the answer was sent, by the clock that its dates come from.

    It is by our clock where the answer does not say.
    """
    with suppress(ValueError):
        return parsedate_to_datetime(headers.get("Date", ""))
    return datetime.now(UTC)  # noqa: TID251  the database's clock is no nearer to the provider's
