"""The console reads what browsers send."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.console.application import _form, create_application
from services.console.asking import Services
from services.console.settings import ConsoleSettings

KEY = "01a22727-0c28-7311-b298-559b97fdbb8e"
UNKNOWN = "Whether it was done, or a part of it, is not known"


async def test_blanks_around_what_is_typed_are_no_part_of_it() -> None:
    async def read(request: Request) -> Response:
        return JSONResponse(await _form(request))

    transport = httpx.ASGITransport(Starlette(routes=[Route("/", read, methods=["POST"])]))
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as http:
        typed = {"address": "2 Mill Lane ", "reason": "  ", "data": '{"order": '}
        answer = await http.post("/", data=typed)
    assert answer.json() == {"address": "2 Mill Lane", "reason": "", "data": '{"order": '}


def failing(error: type[httpx.TransportError] | int) -> httpx.MockTransport:
    """Fails as a service may."""

    def answer(request: httpx.Request) -> httpx.Response:
        if isinstance(error, int):
            return httpx.Response(error, json={"title": "Broken", "detail": "It broke."})
        raise error("", request=request)

    return httpx.MockTransport(answer)


async def sent(transport: httpx.MockTransport) -> httpx.Response:
    """Return what is answered to a form about stock."""
    settings = ConsoleSettings(
        services="inventory=http://inventory", auth="off", issuer=None, console_url="http://console"
    )
    async with httpx.AsyncClient(transport=transport) as http:
        application = create_application(settings, http, Services(http, {"inventory": "http://inventory"}))
        headers = {"Origin": "http://console", "Referer": "http://console/stock/basil?done=yes"}
        inside = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=inside, base_url="http://console", headers=headers) as browser:
            form = {"does": "count", "set": "7", "reason": "counted <twice>", "key": KEY}
            return await browser.post("/stock/basil", data=form)


@pytest.mark.parametrize(
    ("error", "said", "status"),
    [
        (httpx.ConnectError, "inventory does not answer (ConnectError). Nothing was done.", 503),
        (httpx.ReadTimeout, f"inventory does not answer (ReadTimeout). {UNKNOWN}", 503),
        (500, f"It broke. {UNKNOWN}", 500),
    ],
)
async def test_a_form_that_nobody_answers_says_whether_it_was_done_and_keeps_what_was_typed(
    error: type[httpx.TransportError] | int, said: str, status: int
) -> None:
    answer = await sent(failing(error))
    assert answer.status_code == status
    assert said in answer.text
    assert "asked again" not in answer.text
    assert ("answered" in answer.text) == (error == 500)
    assert "<dd>counted &lt;twice&gt;</dd>" in answer.text
    assert KEY not in answer.text
    assert '<a href="/stock/basil?done=yes">Back to the form</a>' in answer.text
