"""./sliceline reread: let one listener read topics again from their beginning."""

from typing import Annotated

import typer

from cli.console import console, fail
from cli.running import address_of


def reread(
    service: Annotated[str, typer.Argument(help="The service that reads again.")],
    topic: Annotated[str | None, typer.Argument(help="Only this one (orders.events); else all.")] = None,
) -> None:
    """Read topics from their beginning again, for a handler that was added or mended after its events had gone by.

    What was handled before has no second effect. The service goes on running, and seeks anew within seconds.
    """
    import httpx

    from cli.asking import client_of

    try:
        with client_of(address_of(service), timeout=30) as client:
            answer = client.post("/reread", json={"topic": topic})
    except httpx.HTTPError as error:
        fail(f"{service} does not answer ({error}). See: ./sliceline logs {service}")
    if answer.is_error:
        fail(f"{service} refuses: {answer.json().get('detail', answer.text)}")
    console.print(f"{service} reads again: {', '.join(answer.json()['topics'])}.")
