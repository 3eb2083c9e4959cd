"""./sliceline redrive: handle parked events again."""

from typing import Annotated

import typer

from cli.console import console, fail
from cli.running import address_of


def redrive(
    service: Annotated[str, typer.Argument(help="The service that parked them.")],
    key: Annotated[str | None, typer.Option("--key", help="Only this key (an order's id, a SKU); else all.")] = None,
) -> None:
    """Handle a service's parked events again, in order, once the reason is gone."""
    import httpx

    url = f"{address_of(service)}/dead-letters/redrive"
    try:
        answer = httpx.post(url, json={"key": key}, timeout=30, trust_env=False)
    except httpx.HTTPError as error:
        fail(f"{service} does not answer ({error}). See: ./sliceline logs {service}")
    if answer.is_error:
        fail(f"{service} refused with {answer.status_code}: {answer.text}")
    console.print(answer.text if answer.text else "Done.", highlight=False, markup=False)
