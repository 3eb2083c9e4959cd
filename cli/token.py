"""./sliceline token: print a token with which one is let in."""

from typing import Annotated

import typer

from cli.console import fail
from cli.running import IDENTITY, Shop, running_shop
from deployment import AUTH


def token(
    who: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="ROLE|NAME",
            help="Whose: a role (customer, kitchen, courier, stock, reader, operator, admin), or a name (ada).",
        ),
    ] = "customer",
) -> None:
    """Print an access token of one of the sandbox's people, where the shop lets nobody in without one.

    It is all that is printed: curl -H "Authorization: Bearer $(./sliceline token)" localhost:8001/orders. It lasts a
    quarter of an hour. Commands log in by themselves, as an administrator; SLICELINE_TOKEN has them send another token.
    """
    from cli.login import NotLetIn, token_of
    from deployment.people import people, person_of

    shop = running_shop()
    if IDENTITY not in shop.rows:
        fail(_why_none(shop))
    person = person_of(who)
    if person is None:
        roles = dict.fromkeys(role for theirs in people().values() for role in theirs)
        fail(
            f"Nobody is called '{who}', or has that role. Roles: {', '.join(roles)}. People: {', '.join(people())}.", 2
        )
    try:
        typer.echo(token_of(shop, person))
    except NotLetIn as refused:
        fail(str(refused))


def _why_none(shop: Shop) -> str:
    if shop.issuer:
        return f"Tokens are given by {shop.issuer}: get one there, and commands send it from SLICELINE_TOKEN."
    return f"This shop was started with {AUTH}=off, and asks nobody for a token."
