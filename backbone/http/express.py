"""Is the express lane: a short way through the application for the requests that come by the thousand.

It takes a route's plain, well-formed requests. Whatever is not (a body in pieces, an odd header, a field that does
not fit) goes the ordinary way with nothing done yet, so that every refusal is worded in one place. Both ways decide
with the same function and write through the same group commit, and the route itself stands in the application and in
its OpenAPI document like any other.

Clients that one flush has answered send their next requests together. Looked at in one go, these would keep the flush
under way waiting for the event loop, and then could only wait for it. So requests take turns, a few between two looks
at the network: the flush goes on as fast as Postgres does, and they fill its pauses.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from backbone.context import Context
from backbone.events.payload import Cause
from backbone.http import observing
from backbone.http.admission import Admission
from backbone.http.answers import CORRELATION, JSON, to_json
from backbone.http.bodies import LARGEST, again, check_json
from backbone.http.browsers import UNKEPT
from backbone.http.commands import REPLAYED
from backbone.http.doors import admitted
from backbone.http.grouped import GroupedCommand
from backbone.http.keys import key_of
from backbone.http.meaning import claim_of
from backbone.http.problems import Problem
from backbone.http.rates import Rates
from backbone.identity.caller import NOBODY, Caller, Permission
from backbone.ids import new_id
from backbone.observing.metrics import exemplar_of
from backbone.observing.telemetry import is_recording, span, traceparent_of
from backbone.sealing.acts import Act, entry_of
from backbone.storage.group_commit import PendingCommand
from backbone.storage.idempotency import Reply
from backbone.values.tracecontext import begin, parse

# Headers that change what a body is or how it arrives, or that the ordinary way looks at more closely.
_UNUSUAL = frozenset((b"transfer-encoding", b"content-encoding", b"expect", b"x-correlation-id", b"origin"))
_Headers = dict[bytes, bytes]

TURNS = 4
"""Requests looked at between two looks at the network. Fewer cost more rounds of the loop, more hold up the flush."""


class Express:
    """ASGI: answers what is plain, and hands everything else to the application."""

    def __init__(
        self, app: ASGIApp, lanes: Mapping[GroupedCommand[Any, Any], Permission], context: Context[Any], rates: Rates
    ) -> None:
        """`lanes` says of each command who may give it."""
        self._app = app
        self._rates = rates
        self._lanes = {lane.path: _Lane(lane, permission, context) for lane, permission in lanes.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a POST down its path's lane if its body came in one piece, and all else to the application.

        Both ways count as under way, and each is timed from when its body was there: a slow client is not our doing.
        """
        lane = self._lanes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if lane is None:
            await self._app(scope, receive, send)
            return
        try:
            self._rates.admit_client(scope)
            lane.admission.enter()
        except Problem as refusal:
            await lane.refuse(refusal, new_id(), scope, receive, send)
            return
        arrival = _Arrival(receive)
        try:
            await self._go(lane, scope, arrival.receive, send)
        finally:
            lane.admission.leave(arrival.at, time.perf_counter())

    async def _go(self, lane: "_Lane", scope: Scope, receive: Receive, send: Send) -> None:
        headers = _plain_headers(scope)
        if headers is None:
            await self._app(scope, receive, send)
            return
        message = pending = None
        try:
            if caller := await lane.caller(headers):
                self._rates.admit_principal(scope, caller)
                message, pending = await lane.look_at(headers, caller, receive)
        except (Problem, asyncio.CancelledError) as error:
            await lane.refuse(error, new_id(), scope, receive, send)
            return
        if pending is None:
            await self._app(scope, again(message, receive) if message else receive, send)
        else:
            await lane.answer(pending, caller or NOBODY, scope, receive, send)


class _Arrival:
    """Notes when the last piece of a request came."""

    def __init__(self, receive: Receive) -> None:
        self.at = time.perf_counter()
        self._receive = receive

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.at = time.perf_counter()
        return message


class _Lane:
    def __init__(self, lane: GroupedCommand[Any, Any], permission: Permission, context: Context[Any]) -> None:
        self._lane = lane
        self._permission = permission
        self._context = context
        self.admission = Admission(context.settings.requests_in_flight)
        self._turns = asyncio.Semaphore(TURNS)
        self._group_commit = context.group_commit(lane.write)
        self._count = observing.requests.labels("POST", lane.path, 202)
        self._time = observing.durations.labels("POST", lane.path)

    async def caller(self, headers: _Headers) -> Caller | None:
        """Return who asks; None of whom the ordinary way must refuse."""
        given = [headers[b"authorization"]] if b"authorization" in headers else []
        try:
            return await admitted(self._permission, given, self._context)
        except Exception:
            return None

    async def look_at(
        self, headers: _Headers, caller: Caller, receive: Receive
    ) -> tuple[Message, PendingCommand[Any] | None]:
        """Receive the body, wait for a turn, and make a pending command of it if it is for this lane."""
        message = await receive()
        async with self._turns:
            await asyncio.sleep(0)
        return message, await self._pending(headers, caller, message)

    async def _pending(self, headers: _Headers, caller: Caller, message: Message) -> PendingCommand[Any] | None:
        """Decide the request; None when it is not for this lane, and then nothing has happened yet."""
        body = message.get("body", b"")
        if message["type"] != "http.request" or message.get("more_body") or len(body) > LARGEST:
            return None
        try:
            key = key_of(headers[b"idempotency-key"].decode("latin-1")) if b"idempotency-key" in headers else None
            parsed = check_json(body)
            item, answer = await self._lane.decide(self._lane.body.model_validate(parsed), self._context, caller)
            cause = Cause(new_id(), None, _trace(self._lane.path, headers))
            act = await self._act(caller, answer.status, cause) if self._permission.is_staffs(caller) else None
        except Exception:  # a refusal, or a database that is away: the ordinary way meets it again, and words it
            return None
        reply = Reply(
            answer.status,
            {"content-type": JSON, CORRELATION: cause.correlationid, **answer.headers},
            to_json(answer.body),
        )
        claim = claim_of("POST", self._lane.path, "", body, parsed, key, caller.named) if key else None
        return PendingCommand(item, cause, reply, claim, act)

    async def _act(self, caller: Caller, status: int, cause: Cause) -> str:
        """Say what the log of acts is to say of a command that somebody of the staff gives."""
        return entry_of(await self._context.acts.sealed(self._act_of(caller, status, cause)))

    def _act_of(self, caller: Caller, status: int, cause: Cause) -> Act:
        path = self._lane.path
        return self._context.acts.act(caller.name, f"POST {path}", path, status, cause.correlationid)

    def _noting(self, caller: Caller, cause: Cause, send: Send) -> Send:
        """Have what staff was refused written down before the answer begins, as the ordinary way would."""

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._context.acts.refuse(self._act_of(caller, message["status"], cause))
            await send(message)

        return send_noted

    async def answer(
        self, pending: PendingCommand[Any], caller: Caller, scope: Scope, receive: Receive, send: Send
    ) -> None:
        began = time.perf_counter()
        try:
            reply = await self._group_commit.commit(pending)
            if pending.act:
                self._context.acts.tell_chaining()
            shown = await self._context.sealing.opened_json(reply.body)
        except (Exception, asyncio.CancelledError) as error:
            if pending.act and isinstance(error, Exception):
                send = self._noting(caller, pending.cause, send)
            await self.refuse(error, pending.cause.correlationid, scope, receive, send)
        else:
            await _send(reply, shown, reply.body != pending.reply.body, send)
            self._count.inc()
        self._time.observe(time.perf_counter() - began, exemplar_of(pending.cause.traceparent))

    async def refuse(
        self, error: BaseException, correlationid: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer, log and count as the ordinary way would. Raises a cancellation that is nothing to a client."""
        scope.setdefault("state", {})["correlationid"] = correlationid
        with bound_contextvars(correlationid=correlationid):
            status = await observing.refuse(observing.answerable(error, self._context), scope, receive, send)
        observing.requests.labels("POST", self._lane.path, status).inc()


def _plain_headers(scope: Scope) -> _Headers | None:
    """Return the headers if none is double or unusual; None when the ordinary way must look at them."""
    headers = dict(scope["headers"])
    plain = (
        len(headers) == len(scope["headers"])
        and headers.get(b"content-type") == b"application/json"
        and _UNUSUAL.isdisjoint(headers)
        and not scope["query_string"]
    )
    return headers if plain else None


def _trace(path: str, headers: _Headers) -> str | None:
    """Begin the request's span, in the client's trace or in a new one: the order's whole way belongs to it."""
    given = parse(headers[b"traceparent"].decode("latin-1")) if b"traceparent" in headers else None
    if not is_recording():
        return str(given.next_step() if given else begin())
    with span(f"POST {path}", SpanKind.SERVER, parent=str(given) if given else None) as current:
        return traceparent_of(current)


async def _send(reply: Reply, shown: bytes, is_replay: bool, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
    if is_replay:
        headers.append((REPLAYED.lower().encode(), b"true"))
    headers.append(UNKEPT)
    headers.append((b"content-length", str(len(shown)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": shown})
