"""./sliceline pause: have a service's consumer, one key or one kind of job wait until somebody resumes it."""

from typing import Annotated, Any

import typer

from cli.answers import answer_of
from cli.console import console, fail
from cli.running import address_of


def pause(
    service: Annotated[str, typer.Argument(help="The service; without an option its consumer is paused.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept, and shown by status.")],
    key: Annotated[str | None, typer.Option("--key", help="Only events of this key (an order's id, a SKU).")] = None,
    jobs: Annotated[str | None, typer.Option("--jobs", help="Instead: its jobs of this kind.")] = None,
) -> None:
    """Pause a service's consumer, one key of it or one kind of job, in all its processes, until it is resumed.

    What is in hand still ends. Nothing is lost: events wait in their topics or behind their key, jobs in their table.
    """
    import httpx

    from cli.asking import client_of

    what = wanted(service, key, jobs)
    with client_of(address_of(service), timeout=30) as client:
        try:
            answer_of(client.post("/pauses", json={**what, "reason": reason}))
        except httpx.HTTPError as error:
            fail(f"{service} does not answer ({error}). See: ./sliceline logs {service}")
    again = f"./sliceline resume {service}{option(what)}"
    console.print(f"{service}: {named(what)} paused. Let it go on with: {again}", markup=False, soft_wrap=True)


def wanted(service: str, key: str | None, jobs: str | None) -> dict[str, Any]:
    """Return what to pause or resume, as the service calls it; end the command when two things are asked for."""
    if key is not None and jobs is not None:
        fail("Say one of --key and --jobs.", code=2)
    if key is not None:
        return {"what": "key", "name": key}
    return {"what": "consumer", "name": service} if jobs is None else {"what": "job", "name": jobs}


def named(what: dict[str, Any]) -> str:
    """Name what is paused."""
    return {"consumer": "the consumer is", "key": f"key {what['name']} is", "job": f"{what['name']} jobs are"}[
        what["what"]
    ]


def option(what: dict[str, Any]) -> str:
    """Return the option that names it."""
    return {"consumer": "", "key": f" --key {what['name']}", "job": f" --jobs {what['name']}"}[what["what"]]
