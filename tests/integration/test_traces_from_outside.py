"""A client's trace on both ways in, the express lane and the ordinary one, and in what is published."""

import re
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from sqlalchemy import text

from backbone.observing import telemetry
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SOUND = f"00-{TRACE}-{SPAN}-01"
ORDER = {
    "customer": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
    "currency": "GBP",
    "fulfilment": "collection",
    "lines": [{"item": "cola", "quantity": 1}],
}
WAYS: dict[str, dict[str, str]] = {"express": {}, "ordinary": {"Content-Encoding": "identity"}}


@pytest.fixture(autouse=True)
def as_a_process_without_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `telemetry.start` sets it up when nobody collects spans; the provider can be set only once in a process."""
    monkeypatch.setattr(telemetry, "_recording", False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))


async def _published(shop: Fed, way: str, *traceparents: str | bytes, **others: str) -> str:
    """The traceparent that goes out with an order placed under these headers."""
    headers: list[tuple[Any, Any]] = [("Content-Type", "application/json"), *WAYS[way].items(), *others.items()]
    headers += (("traceparent", each) for each in traceparents)
    answer = await shop.client.post("/orders", json=ORDER, headers=httpx.Headers(headers))
    assert answer.status_code == 202, answer.text
    query = text("SELECT traceparent FROM outbox WHERE aggregateid = :key")
    async with shop.database.reading() as connection:
        return str((await connection.execute(query, {"key": answer.json()["id"]})).scalar_one())


@pytest.mark.parametrize("way", WAYS)
async def test_an_order_goes_on_in_the_trace_of_its_request(way: str, new_database: NewDatabase) -> None:
    async with fed(SERVICE, new_database) as shop:
        for sound in (SOUND, f"cc-{TRACE}-{SPAN}-01-what", f"00-{TRACE}-{SPAN}-ff"):
            version, trace_id, span_id, _ = (await _published(shop, way, sound)).split("-")
            assert (version, trace_id) == ("00", TRACE)
            assert span_id != SPAN  # a step of its own


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "given",
    [
        [f"00-{TRACE}-{SPAN}-{'f' * 1_100_000}"],
        [f"00-{TRACE}-{SPAN}-{'f' * 600}"],
        [SOUND.upper()],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"{SOUND}-what"],
        [b"00-\xff"],
        [SOUND, SOUND],
        [""],
    ],
    ids=lambda given: str(given)[:50],
)
async def test_a_trace_that_is_not_valid_is_ignored_and_another_begins(
    way: str, given: list[str | bytes], new_database: NewDatabase
) -> None:
    async with fed(SERVICE, new_database) as shop:
        carried = await _published(shop, way, *given, tracestate="vendor=1")
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", carried)
    assert TRACE not in carried
