"""./sliceline redrive: handle parked events again, publish refused ones again, and start parked jobs anew."""

from collections.abc import Iterator
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
    """Handle a service's parked events again, in order, and start its parked jobs anew, once the reason is gone.

    Events of its own that Kafka refused are published again as well.
    """
    import httpx

    with httpx.Client(base_url=address_of(service), timeout=30, trust_env=False) as client:
        try:
            handled = _answer(client.post("/dead-letters/redrive", json={"key": key}))["handled"]
            published = _answer(client.post("/refused-events/retry", json={"key": key}))["retried"]
            started = _start_jobs(client, key)
            first = next((letter for letter in _all(client, "/dead-letters") if key in (None, letter["key"])), None)
        except httpx.HTTPError as error:
            fail(f"{service} does not answer ({error}). See: ./sliceline logs {service}")
    again = f", {_count(published, 'refused event')} to be published again" if published else ""
    console.print(f"{service}: {_count(handled, 'event')} handled, {_count(started, 'job')} started anew{again}.")
    if first:
        fail(f"Events stay parked, the first of key {first['key']}: {first['error']}")


def _start_jobs(client: "httpx.Client", key: str | None) -> int:
    """All that are parked; returns how many."""
    started = 0
    for job in _all(client, "/jobs", state="parked"):
        if key in (None, job["key"]):
            answer = client.post(f"/jobs/{job['id']}/retry")
            if answer.status_code not in (404, 409):  # somebody else has started it meanwhile, or withdrawn it
                _answer(answer)
                started += 1
    return started


def _all(client: "httpx.Client", path: str, **where: str) -> Iterator[dict[str, Any]]:
    """Everything of a list, read page by page as it is needed."""
    after: dict[str, str] = {}
    while True:
        page = _answer(client.get(path, params={"limit": "200"} | where | after))
        yield from page["items"]
        if page["next"] is None:
            return
        after = {"after": page["next"]}


def _answer(response: "httpx.Response") -> Any:
    if response.is_error:
        fail(f"{response.request.url} was refused with {response.status_code}: {response.text}")
    return response.json()


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
