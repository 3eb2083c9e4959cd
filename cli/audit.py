"""./sliceline audit: hold the services' logs of acts against themselves and the archive, or write them out."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backbone.events.chain import Broken, Head, check
from cli.answers import answer_of, everything
from cli.console import console, errors, fail
from cli.running import address_of, running_shop

if TYPE_CHECKING:
    import httpx

PAGE = 500
"""Rows asked for at once."""
SLOW = 2.0
"""Seconds after which it shows how far it is."""


class Action(StrEnum):
    """Names what can be done."""

    VERIFY = "verify"
    EXPORT = "export"


def audit(
    action: Annotated[Action, typer.Argument(help="What to do.")],
    service: Annotated[str | None, typer.Option("--service", help="Only the log of this one.")] = None,
) -> None:
    """Look whether nobody has changed what was done by staff and operators and who was refused: verify, export.

    verify goes over the whole log of each service, and over what the archive was told of it; it exits with 1 where rows
    were changed, moved, put in or taken out, at the end too. export writes all rows as JSON lines to standard output.
    """
    import httpx

    from cli.asking import client_of

    names = _services(service)
    with client_of(timeout=30) as client:
        try:
            if action is Action.EXPORT:
                _export(client, names)
            else:
                _verify(client, names)
        except httpx.HTTPError as error:
            fail(f"A service does not answer ({error}). See: ./sliceline status")


def _services(only: str | None) -> list[str]:
    from services import CATALOGUE

    if only is not None:
        address_of(only)  # ends the command where there is none
        return [only]
    return [name for name in running_shop().rows if name in CATALOGUE]


def _verify(client: "httpx.Client", names: Iterable[str]) -> None:
    broken = [name for name in names if not _is_whole(client, name)]
    if broken:
        fail(f"Somebody has changed the log of {', '.join(broken)}. What was there is in the archive: {_EVENTS}")


_EVENTS = "GET /events?key=SERVICE&type=sliceline.SERVICE.acts-recorded.v1 of the ledger."


def _is_whole(client: "httpx.Client", service: str) -> bool:
    """Say how the log of a service is; return whether it is whole."""
    heads = _heads(client, service)
    try:
        count = check(_shown(service, rows(client, service)), heads or [])
    except Broken as found:
        errors.print(f"{service}: BROKEN. {found}", highlight=False, markup=False, soft_wrap=True)
        return False
    told = "which nobody could be asked for" if heads is None else f"as {len(heads):,} events in the archive tell it"
    console.print(f"{service}: {count:,} rows, whole, {told}.", highlight=False, markup=False, soft_wrap=True)
    return True


def rows(client: "httpx.Client", service: str) -> Iterator[dict[str, Any]]:
    """Yield all rows of a service's log by their numbers, with `last`, the number of the last one by then."""
    address, after = address_of(service), 0
    while True:
        page = answer_of(client.get(f"{address}/audit", params={"after": after, "limit": PAGE}))
        for row in page["items"]:
            yield {**row, "last": page["last"]}
        if len(page["items"]) < PAGE:
            return
        after = page["items"][-1]["number"]


def _heads(client: "httpx.Client", service: str) -> list[Head] | None:
    """Return what the archive was told of a log; None where there is no ledger to be asked."""
    if "ledger" not in running_shop().rows:
        return None
    asked = {"key": service, "type": f"sliceline.{service}.acts-recorded.v1"}
    found = everything(client, f"{address_of('ledger')}/events", **asked)
    return [Head(each["data"]["last"], each["data"]["hash"]) for each in found]


def _shown(service: str, found: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield rows; where it takes long, show how far it is."""
    from cli.feeding import progress

    until = time.monotonic() + SLOW
    done = 0
    for row in found:
        yield row
        done += 1
        if time.monotonic() > until:
            break
    else:
        return
    with progress(f"Rows of {service}", row["last"]) as tell:
        for further, each in enumerate(found, done + 1):
            tell(further)
            yield each


def _export(client: "httpx.Client", names: Iterable[str]) -> None:
    for name in names:
        for row in _shown(name, rows(client, name)):
            act = json.loads(row["entry"]) | {"actor": row["actor"]}
            kept = {each: row[each] for each in ("entry", "previous", "hash")}
            sys.stdout.write(json.dumps({"service": name, "number": row["number"], **act, **kept}) + "\n")
