"""What is said of differences that somebody accepts, where the ledger does not."""

import httpx
import pytest
from htpy import fragment

from services.console.asking import Ask, Services
from services.console.pages import accepting
from services.console.session import ANYBODY
from services.console.shell import Page

DIFFERENCE = {"type": "t.v1", "topic": "orders.events", "partition": 7, "missing": 1, "twice": 0}
FORM = {"confirm-accept-it": "loyalty", "reason": "Deleted by hand.", "missing": "1", "twice": "0"}


@pytest.mark.parametrize(
    ("status", "said"), [(409, "Nothing was accepted."), (None, "Whether it was accepted is not known.")]
)
async def test_what_was_not_answered_is_not_said_to_be_undone(status: int | None, said: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"consumers": [{"consumer": "loyalty", "differences": [DIFFERENCE]}]})
        if status is None:
            raise httpx.ReadTimeout("", request=request)
        return httpx.Response(status, json={"detail": "At the last look 2 were missing."})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        services = Services(http, {"ledger": "http://ledger"})
        page = await accepting.accept(Ask(ANYBODY, services, {"consumer": "loyalty"}, form=FORM))
    assert isinstance(page, Page)
    shown = str(fragment[page.body])
    assert said in shown
    assert "Deleted by hand." in shown
