"""The console reads what browsers send."""

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.console.application import _form


async def test_blanks_around_what_is_typed_are_no_part_of_it() -> None:
    async def read(request: Request) -> Response:
        return JSONResponse(await _form(request))

    transport = httpx.ASGITransport(Starlette(routes=[Route("/", read, methods=["POST"])]))
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as http:
        typed = {"address": "2 Mill Lane ", "reason": "  ", "data": '{"order": '}
        answer = await http.post("/", data=typed)
    assert answer.json() == {"address": "2 Mill Lane", "reason": "", "data": '{"order": '}
