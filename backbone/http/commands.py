"""Runs commands: one transaction each, once per Idempotency-Key (draft-ietf-httpapi-idempotency-key-header)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Header, Request, Response
from msgspec.structs import replace

from backbone.context import Context
from backbone.events.payload import Cause
from backbone.http import keys
from backbone.http.answers import CORRELATION, Answer
from backbone.http.auditing import act_of, is_act
from backbone.http.grouped import B, GroupedCommand
from backbone.http.meaning import claim_of
from backbone.http.problems import Problem, malformed
from backbone.http.routing import template_of
from backbone.identity.caller import Caller
from backbone.ids import new_id
from backbone.observing import telemetry
from backbone.sealing.acts import Act, entry_of
from backbone.storage import idempotency
from backbone.storage.database import Tx
from backbone.storage.group_commit import PendingCommand, Write
from backbone.storage.idempotency import Claim, Reply

T = TypeVar("T")
Effect = Callable[[Tx], Awaitable[Answer]]

REPLAYED = "Idempotency-Replayed"
_KEPT_HEADERS = ("content-type", "location", "retry-after", CORRELATION.lower())


@dataclass(frozen=True)
class CommandRequest:
    """Holds a request that changes something: who asks, and under which key."""

    request: Request
    context: Context[Any]
    key: str | None

    @property
    def actor(self) -> str:
        """Who acts: the token's `sub`. Events, timelines and mails name them."""
        return self.caller.name

    @property
    def caller(self) -> Caller:
        """Who sent the request."""
        caller: Caller = self.request.state.caller
        return caller

    @property
    def correlationid(self) -> str:
        """The id that all this command begins has in common; what goes on with an older story keeps that one's."""
        return str(self.request.state.correlationid)

    @property
    def cause(self) -> Cause:
        """The cause of whatever this command publishes."""
        return Cause(self.correlationid, None, telemetry.traceparent_of())

    async def run(self, effect: Effect, *, turn: str | None = None) -> Response:
        """Run the effect in one transaction and answer after its commit; under a key, run it only the first time.

        The same request under the same key gets the same answer again, byte for byte; another one is refused (422).
        Whatever the effect raises rolls everything back, the key as well, so that the key can be used again. `turn`
        names what the effect may have to wait for, where that is not the resource that the path names.
        """
        act = await self._act()
        async with self._transaction(turn or self._resource()) as tx:
            response = await (self._once(effect, tx, self.key) if self.key else self._at_once(effect, tx))
            if act and REPLAYED not in response.headers:
                await self.context.acts.note(tx, replace(act, status=response.status_code))
        self._noted(act)
        return response

    async def _at_once(self, effect: Effect, tx: Tx) -> Response:
        async with tx.confined():
            answer = await effect(tx)
        return self._response(answer)

    async def _act(self) -> Act | None:
        """Make the act that this command is, where it is one of staff or operators."""
        if not is_act(self.request.scope):
            return None
        return await self.context.acts.sealed(act_of(self.request.scope, self.context, 200))

    def _noted(self, act: Act | None) -> None:
        """Have an act that is committed get its place in the log."""
        if act:
            self.request.state.noted = True
            self.context.acts.tell_chaining()

    @asynccontextmanager
    async def _transaction(self, turn: str | None) -> AsyncIterator[Tx]:
        """Begin a transaction when it is the resource's turn: commands on one row hold one connection, not all."""
        database = self.context.database
        if turn is None:
            async with database.for_bulk_commands.transaction(self.cause) as tx:
                yield tx
            return
        async with self.context.turns.of(turn), database.for_commands.transaction(self.cause) as tx:
            yield tx

    def _resource(self) -> str | None:
        """Return the path up to its last parameter, which an order's buttons share; None if it names no resource."""
        named = self.request.path_params
        return f"{template_of(self.request.scope).rpartition('}')[0]} {named}" if named else None

    async def run_grouped(self, grouped: GroupedCommand[T, B], body: B) -> Response:
        """Decide what a body amounts to, write it together with others of its kind, and answer after their commit.

        The promises are those of `run`; only the transaction is shared.
        """
        try:
            item, answer = await grouped.decide(body, self.context, self.caller)
        except Problem as refused:
            return await self._unless_answered(refused)
        return await self._write(grouped.write, item, answer, self.key)

    async def _unless_answered(self, refused: Problem) -> Response:
        """Answer as before a request that was accepted under its key, whatever refuses it by now; else refuse it."""
        if self.key is None:
            raise refused

        async def refuse(_: Tx) -> Answer:
            raise refused

        return await self.run(refuse)

    async def run_together(self, write: Write[T], item: T, answer: Answer) -> Response:
        """Do the same with what `write` itself decides, under its rows' locks: it raises Problem to refuse one.

        Where the client gives no key it has one of its own: so a flush whose commit nobody heard of, and which is run
        again, finds what it has written. A `GroupedCommand` is recognised by its own id.
        """
        return await self._write(write, item, answer, self.key or new_id())

    async def _write(self, write: Write[T], item: T, answer: Answer, key: str | None) -> Response:
        reply = _reply(self._response(answer))
        claim = await self._claim(key) if key else None
        act = await self._act()
        told = entry_of(replace(act, status=reply.status)) if act else None
        kept = await self.context.group_commit(write).commit(PendingCommand(item, self.cause, reply, claim, told))
        self._noted(act)
        return _sent(kept, is_replay=kept.body != reply.body)

    async def _once(self, effect: Effect, tx: Tx, key: str) -> Response:
        claim = await self._claim(key)
        kept = await idempotency.claim(tx, claim)
        if kept is not None:
            return _sent(kept, is_replay=True)
        response = await self._at_once(effect, tx)
        await idempotency.keep(tx, claim, _reply(response))
        return response

    def _response(self, answer: Answer) -> Response:
        """Make the response with the correlation id of what happened, which a replay tells again."""
        response = answer.response()
        response.headers[CORRELATION] = self.correlationid
        return response

    async def _claim(self, key: str) -> Claim:
        url, body = self.request.url, await self.request.body()
        parsed = orjson.loads(body) if body else None
        return claim_of(self.request.method, url.path, url.query, body, parsed, key, self.caller.named)


async def _command(
    request: Request,
    idempotency_key: Annotated[str | None, Header(description=keys.DESCRIPTION, json_schema_extra=keys.SCHEMA)] = None,
) -> CommandRequest:
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise malformed("Send one Idempotency-Key.", keys.KEY)
    return CommandRequest(request, request.app.state.context, keys.key_of(idempotency_key))


async def _keyless_command(request: Request) -> CommandRequest:
    return CommandRequest(request, request.app.state.context, None)


Command = Annotated[CommandRequest, Depends(_command)]
KeylessCommand = Annotated[CommandRequest, Depends(_keyless_command)]
"""A command that is judged each time it comes, as by its signature: no answer is kept that a key could bring back."""


async def _begin(command: KeylessCommand) -> None:
    if is_act(command.request.scope):
        await command.context.acts.write(act_of(command.request.scope, command.context, 0, "begun"))


Begun = Annotated[None, Depends(_begin)]
"""Has a command that takes several transactions written down before the first; that it has ended is written as well."""


def _reply(response: Response) -> Reply:
    headers = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
    return Reply(response.status_code, headers, bytes(response.body))


def _sent(reply: Reply, is_replay: bool) -> Response:
    headers = {**reply.headers, REPLAYED: "true"} if is_replay else reply.headers
    return Response(reply.body, reply.status, headers)
