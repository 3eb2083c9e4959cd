"""./sliceline why: say why something has not happened to an order."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.answers import answer_of
from cli.console import console, fail
from cli.running import address_of

if TYPE_CHECKING:
    import httpx

LEDGER = "ledger"


def why(
    order: Annotated[str, typer.Argument(help="The order's id.")],
    expected: Annotated[
        str,
        typer.Argument(
            help="What is missing: mail, payment, points, stock, an event (order-confirmed), a service, rule:NAME or "
            "endpoint:NAME."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: the whole answer on standard output.")] = False,
) -> None:
    """Say why something has not happened to an order: the first broken link, and the command that mends it.

    The ledger follows the wiring back from what is expected, and asks each service on the way where it stands. Of what
    has happened it says when. The exit code is 1 when a link is broken.
    """
    import httpx

    from cli.asking import client_of

    with client_of(address_of(LEDGER), timeout=30) as client:
        try:
            response = client.get("/why", params={"order": order, "expected": expected})
        except httpx.HTTPError as error:
            fail(f"{LEDGER} does not answer ({error}). See: ./sliceline logs {LEDGER}")
    if response.status_code == 422:
        fail(_objection(response), code=2)
    answer = answer_of(response)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        _print(answer)
    raise typer.Exit(1 if answer["broken"] else 0)


def _objection(response: "httpx.Response") -> str:
    """Return what is wrong with a word, as the ledger says it."""
    return "; ".join(f"{each['field']}: {each['message']}" for each in response.json().get("errors", ()))


def _print(answer: dict[str, Any]) -> None:
    for link in answer["chain"]:
        _say(f"  ✔ {link['text']}{_moment(link['at'])}", "dim")
    if happened := answer["happened"]:
        _say(f"✔ {happened['text']}{_moment(happened['at'])}", "green")
        return
    broken = answer["broken"]
    _say(f"✘ {broken['text']}{_moment(broken['since'], 'since')}", "red")
    if broken["command"]:
        _say(f"\nThis goes on with: {broken['command']}" if _mends(broken) else f"\nSee: {broken['command']}")


def _mends(broken: dict[str, Any]) -> bool:
    return not str(broken["command"]).startswith("./sliceline logs")


def _moment(at: str | None, word: str = "at") -> str:
    """Return the moment in UTC, of one in ISO 8601."""
    return f" ({word} {at[:10]} {at[11:19]}Z)" if at else ""


def _say(line: str, style: str | None = None) -> None:
    console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)
