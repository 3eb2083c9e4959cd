"""./sliceline redrive: handle parked events again, publish refused ones again, and start parked jobs anew."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.answers import answer_of, everything, first_letter
from cli.console import console, fail
from cli.following import follow
from cli.running import address_of

if TYPE_CHECKING:
    import httpx


HANDLED = ("applied", "already-applied", "ignored")
"""What may become of an event that is parked no longer."""


def redrive(
    service: Annotated[str, typer.Argument(help="The service that parked them.")],
    key: Annotated[str | None, typer.Option("--key", help="Only this key (an order's id, a SKU); else all.")] = None,
) -> None:
    """Handle a service's parked events again, in order, and start its parked jobs anew, once the reason is gone.

    Events of its own that Kafka refused are published again as well. Keys that somebody has paused stay so.
    """
    import httpx

    from cli.asking import client_of

    with client_of(address_of(service), timeout=30) as client:
        try:
            handled = _handle_again(client, service, key)
            published = answer_of(client.post("/refused-events/retry", json={"key": key}))["retried"]
            started = _start_jobs(client, key)
            paused = [each["name"] for each in everything(client, "/pauses") if each["what"] == "key"]
            first = first_letter(client, key, without=paused)
        except httpx.HTTPError as error:
            fail(f"{service} does not answer ({error}). See: ./sliceline logs {service}")
    again = f", {_count(published, 'refused event')} to be published again" if published else ""
    console.print(f"{service}: {_count(handled, 'event')} handled, {_count(started, 'job')} started anew{again}.")
    if first:
        fail(f"Events stay parked, the first is letter {first['id']} of key {first['key']}: {first['error']}")


def _handle_again(client: "httpx.Client", service: str, key: str | None) -> int:
    """Have the parked events handled by a plan, however long it takes; return how many were."""
    which = {"all": True} if key is None else {"key": key}
    number = answer_of(client.post("/redrives", json={**which, "on_failure": "continue"}))["id"]
    if not answer_of(client.get(f"/redrives/{number}"))["total"]:
        return 0
    outcomes = follow(client, service, number)["outcomes"]
    return sum(outcomes[each] for each in HANDLED)


def _start_jobs(client: "httpx.Client", key: str | None) -> int:
    """Start all parked jobs anew; return how many."""
    started = 0
    for job in everything(client, "/jobs", state="parked"):
        if key in (None, job["key"]):
            answer = client.post(f"/jobs/{job['id']}/retry")
            if answer.status_code not in (404, 409):  # somebody else has started it meanwhile, or withdrawn it
                answer_of(answer)
                started += 1
    return started


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
