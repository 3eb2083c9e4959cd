"""./sliceline resume: let go on what was paused."""

from typing import Annotated

import typer

from cli.answers import answer_of, everything
from cli.console import console, fail
from cli.pause import named, wanted
from cli.running import address_of


def resume(
    service: Annotated[str, typer.Argument(help="The service; without an option its consumer is resumed.")],
    key: Annotated[str | None, typer.Option("--key", help="Only events of this key.")] = None,
    jobs: Annotated[str | None, typer.Option("--jobs", help="Instead: its jobs of this kind.")] = None,
) -> None:
    """Let a service's consumer, one key of it or one kind of job go on after a pause; what waited is done, in order."""
    import httpx

    from cli.asking import client_of

    what = wanted(service, key, jobs)
    with client_of(address_of(service), timeout=30) as client:
        try:
            paused = next((each for each in everything(client, "/pauses") if what.items() <= each.items()), None)
            if paused is None:
                fail(f"{service}: {named(what)} not paused.")
            answer_of(client.delete(f"/pauses/{paused['id']}"))
        except httpx.HTTPError as error:
            fail(f"{service} does not answer ({error}). See: ./sliceline logs {service}")
    by = paused["paused_by"]
    console.print(f"{service}: {named(what)} resumed; {by} had paused it.", markup=False, soft_wrap=True)
