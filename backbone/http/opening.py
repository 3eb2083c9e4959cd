"""Opens what is sealed in answers, after their commit and just before they are sent.

What is stored under an Idempotency-Key is the answer as it was made, sealed: so it is forgotten with its person.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from backbone.http.answers import JSON
from backbone.sealing.sealing import Sealing


class OpeningRoute(APIRoute):
    """Is a route whose answers show what is sealed as it was written: `APIRouter(route_class=OpeningRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler that opens what the route's own one answers."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await _opened(await answer(request), request.app.state.context.sealing)

        return handle


async def _opened(response: Response, sealing: Sealing) -> Response:
    document = bytes(getattr(response, "body", b""))  # a stream has none; it opens what it sends itself
    if b"sealed:" not in document:
        return response
    is_json = response.headers["content-type"].startswith(JSON)
    response.body = await (sealing.opened_json(document) if is_json else sealing.opened_text(document))
    response.headers["content-length"] = str(len(response.body))
    return response
