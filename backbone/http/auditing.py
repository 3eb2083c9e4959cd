"""Has what staff and operators do, and every refusal, written down in the log of acts (`sealing/acts.py`).

A command writes its act in its own transaction, or, where it takes several, before the first (`commands.py`). Whatever
else is to be written is noticed here, by the answer.
"""

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backbone.context import Context
from backbone.http.problems import SAFE, instance_of
from backbone.http.routing import template_of
from backbone.identity.caller import NOBODY, Caller, Permission
from backbone.observing.logs import logger
from backbone.sealing.acts import Act

_REFUSALS = (401, 403)
_READING = ".read"
_LONGEST_PATH = 300


class Audited:
    """ASGI: writes down, before the answer begins, refusals and what was not written down by whoever has done it."""

    def __init__(self, app: ASGIApp, context: Context[Any]) -> None:
        self.app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Never keeps an answer back because of an error of its own."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_noted(message: Message) -> None:
            # What is cut off has no time left, and is written down with what it has done, if it has.
            if message["type"] == "http.response.start" and not scope["state"].get("cut_off"):
                await self._note(scope, message["status"])
            await send(message)

        await self.app(scope, receive, send_noted)

    async def _note(self, scope: Scope, status: int) -> None:
        try:
            if status in _REFUSALS or (is_act(scope) and status >= 400):
                await self._context.acts.refuse(act_of(scope, self._context, status))
            elif is_act(scope) and not scope["state"].get("noted"):
                await self._context.acts.write_soon(act_of(scope, self._context, status))
        except Exception:
            logger.exception("an act is not written down", action="act-lost")


def is_act(scope: Scope) -> bool:
    """Tell whether a request is one of staff or operators that changes something."""
    state = scope.get("state", {})
    permission: Permission | None = state.get("permission")
    if permission is None or scope["method"] in SAFE or (permission.scope or "").endswith(_READING):
        return False
    return permission.is_staffs(state.get("caller", NOBODY))


def act_of(scope: Scope, context: Context[Any], status: int, outcome: str | None = None) -> Act:
    """Describe what a request does, or did."""
    state = scope["state"]
    caller: Caller = state.get("caller", NOBODY)
    what, path = f"{scope['method']} {template_of(scope)}", instance_of(scope)[:_LONGEST_PATH]
    return context.acts.act(caller.name, what, path, status, state["correlationid"], outcome)
