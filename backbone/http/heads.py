"""Answers HEAD wherever GET is (RFC 9110 9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """ASGI: serves HEAD as GET, up to where the body would begin. Everybody further out still sees a HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with GET's status and headers, and no body; an answer that goes on for long ends at once."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        answered = False

        async def begin(message: Message) -> None:
            nonlocal answered
            scope["method"] = "HEAD"
            if not answered:
                answered = True
                await send(message)
                await send({"type": "http.response.body", "body": b""})

        async def receive_no_more() -> Message:
            return {"type": "http.disconnect"} if answered else await receive()

        scope["method"] = "GET"
        try:
            await self.app(scope, receive_no_more, begin)
        finally:
            scope["method"] = "HEAD"
