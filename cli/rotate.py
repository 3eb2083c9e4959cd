"""./sliceline rotate: let a new master key take the place of the one there is."""

import base64
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.answers import answer_of
from cli.console import console, fail
from cli.running import address_of, running_shop
from local.layout import layout_for

if TYPE_CHECKING:
    import httpx

    from deployment.master_key import KeyFile

HEARD = 6.0
"""Seconds after which every process has read the file again."""
WITHIN = 30.0
"""Seconds that one may take for it at most."""
CONFLICT = 409
BY_HAND = "docs/personal-data.md says how it is done by hand."


def rotate(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Draw a new master key, wrap all data keys anew with it, and put the old one aside.

    Services run on and lose nothing: while it lasts they know both keys. Interrupted, it is said again, and goes on
    where it was. Data keys stay, and so does what is sealed with them: to make that unreadable, forget the customer.
    """
    import httpx

    from cli.asking import client_of
    from deployment.master_key import KeyFile

    file = KeyFile(_path())
    with client_of(timeout=60) as client:
        try:
            if not file.next.exists():
                _check(client, file)
                if not yes:
                    typer.confirm("Draw a new master key, and wrap all data keys anew with it?", abort=True)
            _exchange(client, file)
        except httpx.HTTPError as error:
            fail(f"A service does not answer ({error}). See: ./sliceline status. Then say it again: it goes on.")


def _path() -> Path:
    """Return the file of the running shop's master key; end the command where it is not within reach."""
    shop = running_shop()
    if shop.in_containers:
        fail(f"The master key of a shop in containers is in their volume `keys`. {BY_HAND}")
    given = os.environ.get("SLICELINE_MASTER_KEY_FILE")
    path = Path(given) if given else layout_for(shop.port_offset).home / "master-key"
    if not path.exists():
        fail(f"There is no master key in {path}. Name the file with SLICELINE_MASTER_KEY_FILE. {BY_HAND}")
    return path


def _check(client: "httpx.Client", file: "KeyFile") -> None:
    """End the command, with nothing changed, where services have another master key than the file."""
    under = _id_of(file.keys[0])
    for service in _keepers():
        if _step(client, service, under, None) is None:
            fail(f"{service} has another master key than {file.path} gives. {BY_HAND}")


def _exchange(client: "httpx.Client", file: "KeyFile") -> None:
    file.add_next()
    _say(f"There is a new master key. All services have read it in {HEARD:.0f} seconds.")
    time.sleep(HEARD)
    file.prefer_next()
    under = _id_of(file.keys[0])
    for service in _keepers():
        _rewrap(client, service, under)
    file.retire_others()
    _say(f"Nothing needs the old master key any more but backups from before: it is in {file.retired}.")
    _say("Keep it apart, with those backups, and destroy it with the last of them.")


def _rewrap(client: "httpx.Client", service: str, under: str) -> None:
    """Have a service wrap all its data keys anew; end the command where some are wrapped with neither key."""
    after, rewrapped, foreign = None, 0, 0
    while True:
        step = _awaited(client, service, under, after)
        rewrapped, foreign, after = rewrapped + step["rewrapped"], foreign + step["foreign"], step["next"]
        if after is None:
            break
    if foreign:
        fail(
            f"{service} has {foreign} data keys that neither the old master key nor the new one opens. Both stay in "
            "use. Add the one that does to the file, in a line of its own, and say it again."
        )
    _say(f"{service}: {rewrapped} data keys are wrapped anew.")


def _awaited(client: "httpx.Client", service: str, under: str, after: str | None) -> dict[str, Any]:
    """Ask for the next step until the service has read the new key."""
    until = time.monotonic() + WITHIN
    while (step := _step(client, service, under, after)) is None:
        if time.monotonic() > until:
            fail(f"{service} does not read the new master key. See: ./sliceline logs {service}. Then say it again.")
        time.sleep(0.2)
    return step


def _step(client: "httpx.Client", service: str, under: str, after: str | None) -> dict[str, Any] | None:
    """Have a service wrap its next data keys; None where it wraps with another master key."""
    answer = client.post(f"{address_of(service)}/data-keys/rewrap", json={"under": under, "after": after})
    if answer.status_code == CONFLICT:
        return None
    step: dict[str, Any] = answer_of(answer)
    return step


def _keepers() -> list[str]:
    """Name the services, which all keep data keys; each has to run, or what it keeps would be left behind."""
    from services import CATALOGUE

    return list(CATALOGUE)


def _id_of(key: str) -> str:
    from backbone.sealing.cipher import id_of

    return id_of(base64.b64decode(key))


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
