"""./sliceline discard: give up a parked event that nothing can mend, so that its key goes on."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.answers import answer_of, first_letter
from cli.console import console, fail
from cli.running import address_of

if TYPE_CHECKING:
    import httpx


def discard(
    service: Annotated[str, typer.Argument(help="The service that parked it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the event.")],
    letter: Annotated[int | None, typer.Option("--letter", help="The dead letter's number.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Instead: the first one of this key.")] = None,
) -> None:
    """Give up one parked event that nothing can mend; what waited behind it goes on in order."""
    import httpx

    from cli.asking import client_of

    if (letter is None) == (key is None):
        fail("Say which one: --letter NUMBER or --key KEY.", code=2)
    with client_of(address_of(service), timeout=30) as client:
        try:
            number = _first_of(client, service, key) if key is not None else letter
            answer_of(client.post(f"/dead-letters/{number}/discard", json={"reason": reason}))
        except httpx.HTTPError as error:
            fail(f"{service} does not answer ({error}). See: ./sliceline logs {service}")
    console.print(f"{service}: letter {number} was discarded; it is kept in discarded_letters.")


def _first_of(client: "httpx.Client", service: str, key: str) -> int:
    found = first_letter(client, key)
    if found is None:
        fail(f"{service} has parked no event of key {key}.")
    return int(found["id"])
