"""Commands: one transaction each, once per Idempotency-Key (draft-ietf-httpapi-idempotency-key-header)."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from asyncpg import Record
from fastapi import Depends, Header, Request, Response
from pydantic import JsonValue

from backbone import telemetry
from backbone.database import Database, Tx
from backbone.events import Cause
from backbone.http.answers import Answer
from backbone.http.observing import CORRELATION
from backbone.http.problems import Problem, malformed
from backbone.service import Context

Effect = Callable[[Tx], Awaitable[Answer]]

# Waits for a concurrent twin, whose row is not yet visible, until it ends. DO UPDATE and not DO NOTHING: only so the
# same statement also returns a row that is there already, and no housekeeping can delete it in between. A committed
# row always has a status, so one without is ours, claimed a moment ago.
_CLAIM = """
INSERT INTO idempotency_keys AS kept (scope, key, fingerprint) VALUES ($1, $2, $3)
ON CONFLICT (scope, key) DO UPDATE SET key = excluded.key
RETURNING fingerprint, status, headers::text AS headers, body
"""
_KEEP = """
UPDATE idempotency_keys SET status = $3, headers = $4::text::jsonb, body = $5 WHERE scope = $1 AND key = $2
"""
_FORGET = """
DELETE FROM idempotency_keys WHERE ctid IN (
  SELECT ctid FROM idempotency_keys WHERE created_at < now() - $1::interval LIMIT 5000)
"""
_KEY_DESCRIPTION = "1 to 255 visible characters, quotes optional. The same request sent again gets the same answer."
# Told, but checked by `_key`: a wrong key is malformed (400), and FastAPI would say 422.
_KEY_SCHEMA: dict[str, JsonValue] = {"pattern": r'^"?[!#-~][!-~]{0,254}"?$'}
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

    async def run(self, effect: Effect) -> Response:
        """Run the effect in one transaction and answer after its commit; under a key, run it only the first time.

        The same request under the same key gets the same answer again, byte for byte; another one is refused (422).
        Whatever the effect raises rolls everything back, the key as well, so that the key can be used again.
        """
        cause = Cause(self.correlationid, None, telemetry.traceparent_of())
        async with self.context.database.transaction(cause) as tx:
            if self.key is None:
                return self._response(await effect(tx))
            return await self._once(effect, tx, self.key)

    async def _once(self, effect: Effect, tx: Tx, key: str) -> Response:
        scope = f"{self.request.method} {self.request.url.path}"
        fingerprint = await self._fingerprint()
        kept = await tx.raw.fetchrow(_CLAIM, scope, key, fingerprint)
        assert kept is not None  # noqa: S101  DO UPDATE always returns its row
        if kept["fingerprint"] != fingerprint:
            raise _other_request(key)
        if kept["status"] is not None:
            return _replayed(kept)
        response = self._response(await effect(tx))
        headers = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
        await tx.raw.execute(_KEEP, scope, key, response.status_code, json.dumps(headers), response.body)
        return response

    def _response(self, answer: Answer) -> Response:
        """With the correlation id of what happened, which a replay tells again."""
        response = answer.response()
        response.headers[CORRELATION] = self.correlationid
        return response

    async def _fingerprint(self) -> bytes:
        url = self.request.url
        digest = hashlib.sha256(f"{self.request.method} {url.path}?{url.query}\n".encode())
        digest.update(await self.request.body())
        return digest.digest()


async def _command(
    request: Request,
    x_actor: Annotated[str, Header(description="Who acts.", max_length=200)] = "anonymous",
    idempotency_key: Annotated[str | None, Header(description=_KEY_DESCRIPTION, json_schema_extra=_KEY_SCHEMA)] = None,
) -> CommandRequest:
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise malformed("Send one Idempotency-Key.", "Idempotency-Key")
    return CommandRequest(request, request.app.state.context, x_actor.strip() or "anonymous", _key(idempotency_key))


Command = Annotated[CommandRequest, Depends(_command)]


async def forget_old_keys(database: Database, older_than: timedelta) -> int:
    """Delete keys that nobody will send again, at most 5000 in a transaction; tells how many."""
    total = 0
    while True:
        async with database.transaction() as tx:
            deleted = int((await tx.raw.execute(_FORGET, older_than)).removeprefix("DELETE "))
        total += deleted
        if deleted == 0:
            return total


def _key(given: str | None) -> str | None:
    """The key without its quotes: the draft asks for a string of RFC 8941, most clients send a bare token."""
    if given is None:
        return None
    bare = given.strip()
    if len(bare) > 1 and bare[0] == bare[-1] == '"':
        bare = re.sub(r"\\([\\\"])", r"\1", bare[1:-1])
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", bare):
        raise malformed("must be 1 to 255 visible ASCII characters", "Idempotency-Key")
    return bare


def _replayed(kept: Record) -> Response:
    headers: Mapping[str, str] = json.loads(kept["headers"])
    return Response(kept["body"], kept["status"], {**headers, "Idempotency-Replayed": "true"})


def _other_request(key: str) -> Problem:
    return Problem(
        422,
        "Idempotency key reused",
        f"The key {key} was used for another request. Take a new key, or send exactly the same body.",
        field="Idempotency-Key",
    )
