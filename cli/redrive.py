"""./sliceline redrive: handle parked events again, and start parked jobs anew."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import console, fail
from cli.running import address_of

if TYPE_CHECKING:
    import httpx


def redrive(
    service: Annotated[str, typer.Argument(help="The service that parked them.")],
    key: Annotated[str | None, typer.Option("--key", help="Only this key (an order's id, a SKU); else all.")] = None,
) -> None:
    """Handle a service's parked events again, in order, and start its parked jobs anew, once the reason is gone."""
    import httpx

    with httpx.Client(base_url=address_of(service), timeout=30, trust_env=False) as client:
        try:
            handled = _answer(client.post("/dead-letters/redrive", json={"key": key}))["handled"]
            started = _start_jobs(client, key)
            left = _answer(client.get("/dead-letters", params={"limit": 200}))["items"]
        except httpx.HTTPError as error:
            fail(f"{service} does not answer ({error}). See: ./sliceline logs {service}")
    console.print(f"{service}: {_count(handled, 'event')} handled, {_count(started, 'job')} started anew.")
    if first := next((letter for letter in left if key in (None, letter["key"])), None):
        fail(f"Events stay parked, the first of key {first['key']}: {first['error']}")


def _start_jobs(client: "httpx.Client", key: str | None) -> int:
    """All that are parked, page by page; returns how many."""
    started, after = 0, None
    while True:
        where = {"state": "parked", "limit": "200"} | ({"after": after} if after else {})
        page = _answer(client.get("/jobs", params=where))
        for job in page["items"]:
            # Somebody else may have started it meanwhile, or withdrawn it.
            if key in (None, job["key"]) and client.post(f"/jobs/{job['id']}/retry").status_code == 202:
                started += 1
        if (after := page["next"]) is None:
            return started


def _answer(response: "httpx.Response") -> Any:
    if response.is_error:
        fail(f"{response.request.url} was refused with {response.status_code}: {response.text}")
    return response.json()


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
