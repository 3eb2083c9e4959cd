"""./sliceline browse: the shop in a browser, logged in."""

import os
import sys
import webbrowser
from typing import Annotated

import httpx
import typer

from cli.console import console, fail
from cli.running import IDENTITY, Shop, running_shop
from deployment.people import CONSOLE


def browse(
    who: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="ROLE|NAME",
            help="As whom: a role (customer, kitchen, courier, stock, reader, operator, admin), or a name (ada).",
        ),
    ] = "admin",
    opens: Annotated[bool, typer.Option("--open/--no-open", help="Whether a browser is opened as well.")] = True,
) -> None:
    """Print an address at which a browser is logged in, and open it where there is a screen.

    It works once, within a quarter of an hour, for whoever has it. After that, ask for another.
    """
    from cli.login import NotLetIn

    shop = running_shop()
    row = shop.rows.get(CONSOLE)
    if row is None or not row.address:
        fail("The console is not there yet. See how far it is: ./sliceline status")
    try:
        url = entrance(shop, row.address, who)
    except NotLetIn as refused:
        fail(str(refused))
    typer.echo(url)
    if opens and sys.stdout.isatty() and has_screen():
        webbrowser.open(url)
        console.print("A browser opens it.", style="dim")


def entrance(shop: Shop, address: str, who: str) -> str:
    """Return the address that logs in one of the sandbox's people; the plain one where nobody of it can.

    Raises NotLetIn.
    """
    from cli.login import NotLetIn, logged_in
    from deployment.people import person_of

    if IDENTITY not in shop.rows:
        return f"{address}/"
    person = person_of(who)
    if person is None:
        raise NotLetIn(f"Nobody is called '{who}', or has that role.")
    try:
        with logged_in(shop, address, person) as browser:
            return str(browser.post("/enter").raise_for_status().json()["url"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise NotLetIn(f"The console lets nobody in ({error}). See: ./sliceline logs console") from None


def has_screen() -> bool:
    """Tell whether a browser that is opened would be seen."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
