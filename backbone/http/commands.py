"""Commands: one transaction each, once per Idempotency-Key (draft-ietf-httpapi-idempotency-key-header)."""

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import JsonValue

from backbone import idempotency, telemetry
from backbone.database import Tx
from backbone.events import Cause
from backbone.group import Entrant
from backbone.http.answers import Answer
from backbone.http.meaning import claim_of
from backbone.http.observing import CORRELATION
from backbone.http.problems import invalid, malformed
from backbone.idempotency import Claim, Reply
from backbone.service import Context, Grouped
from backbone.texts import IN_WORDS, LINE, is_line

T = TypeVar("T")
Effect = Callable[[Tx], Awaitable[Answer]]

_KEY_DESCRIPTION = "1 to 255 visible characters, quotes optional. The same request sent again gets the same answer."
# Told, but checked by `key_of`: a wrong key is malformed (400), and FastAPI would say 422.
_KEY_SCHEMA: dict[str, JsonValue] = {"pattern": r'^"?[!#-~][!-~]{0,254}"?$'}
_ACTOR: dict[str, JsonValue] = {"pattern": rf"^(?:{LINE[1:-1]})?$"}
REPLAYED = "Idempotency-Replayed"
_KEPT_HEADERS = ("content-type", "location", "retry-after", CORRELATION.lower())


@dataclass(frozen=True)
class CommandRequest:
    """A request that changes something: who asks, and under which key."""

    request: Request
    context: Context[Any]
    actor: str
    key: str | None

    @property
    def settings(self) -> Any:
        """The service's own settings."""
        return self.context.settings

    @property
    def correlationid(self) -> str:
        """What everything that this command sets off has in common."""
        return str(self.request.state.correlationid)

    @property
    def cause(self) -> Cause:
        """What led to whatever this command publishes."""
        return Cause(self.correlationid, None, telemetry.traceparent_of())

    async def run(self, effect: Effect) -> Response:
        """Run the effect in one transaction and answer after its commit; under a key, run it only the first time.

        The same request under the same key gets the same answer again, byte for byte; another one is refused (422).
        Whatever the effect raises rolls everything back, the key as well, so that the key can be used again.
        """
        async with self._turn(), self.context.database.for_commands.transaction(self.cause) as tx:
            if self.key is None:
                return self._response(await effect(tx))
            return await self._once(effect, tx, self.key)

    def _turn(self) -> AbstractAsyncContextManager[None]:
        """Commands on one resource come one after the other, as on its row: so they hold one connection, not all."""
        return self.context.turns.of(self.request.url.path) if self.request.path_params else nullcontext()

    async def join(self, grouped: Grouped[T, Any], item: T, answer: Answer) -> Response:
        """Write what has been decided together with others of its kind, and answer after their commit.

        The promises are those of `run`; only the transaction is shared.
        """
        reply = _reply(self._response(answer))
        claim = await self._claim(self.key) if self.key else None
        kept = await self.context.group(grouped).join(Entrant(item, self.cause, reply, claim))
        return _sent(kept, is_replay=kept.body != reply.body)

    async def _once(self, effect: Effect, tx: Tx, key: str) -> Response:
        claim = await self._claim(key)
        kept = await idempotency.claim(tx, claim)
        if kept is not None:
            return _sent(kept, is_replay=True)
        response = self._response(await effect(tx))
        await idempotency.keep(tx, claim, _reply(response))
        return response

    def _response(self, answer: Answer) -> Response:
        """With the correlation id of what happened, which a replay tells again."""
        response = answer.response()
        response.headers[CORRELATION] = self.correlationid
        return response

    async def _claim(self, key: str) -> Claim:
        url = self.request.url
        return claim_of(self.request.method, url.path, url.query, await self.request.body(), key)


async def _command(
    request: Request,
    x_actor: Annotated[str, Header(description="Who acts.", max_length=200, json_schema_extra=_ACTOR)] = "anonymous",
    idempotency_key: Annotated[str | None, Header(description=_KEY_DESCRIPTION, json_schema_extra=_KEY_SCHEMA)] = None,
) -> CommandRequest:
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise malformed("Send one Idempotency-Key.", "Idempotency-Key")
    return CommandRequest(request, request.app.state.context, actor_of(x_actor), key_of(idempotency_key))


Command = Annotated[CommandRequest, Depends(_command)]


def actor_of(given: str) -> str:
    """Who acts, as events and mails name them."""
    actor = given.strip("\t ") or "anonymous"
    if not is_line(actor):
        raise invalid([{"field": "X-Actor", "message": IN_WORDS[LINE]}])
    return actor


def key_of(given: str | None) -> str | None:
    """The key without its quotes: the draft asks for a string of RFC 8941, most clients send a bare token."""
    if given is None:
        return None
    bare = given.strip()
    if len(bare) > 1 and bare[0] == bare[-1] == '"':
        bare = re.sub(r"\\([\\\"])", r"\1", bare[1:-1])
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", bare):
        raise malformed("must be 1 to 255 visible ASCII characters", "Idempotency-Key")
    return bare


def _reply(response: Response) -> Reply:
    headers = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
    return Reply(response.status_code, headers, bytes(response.body))


def _sent(reply: Reply, is_replay: bool) -> Response:
    headers = {**reply.headers, REPLAYED: "true"} if is_replay else reply.headers
    return Response(reply.body, reply.status, headers)
