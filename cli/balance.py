"""./sliceline balance: show whether what became of events adds up, or accept what does not, with a reason."""

import json
from collections import Counter
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.answers import answer_of
from cli.console import console, fail
from cli.running import address_of, known_service

LEDGER = "ledger"
FATES = ("archived", "applied", "ignored", "parked", "held", "discarded", "in_flight", "copies", "missing", "twice")


class Action(StrEnum):
    """Names what can be done."""

    SHOW = "show"
    ACCEPT = "accept"


def balance(
    action: Annotated[Action, typer.Argument(help="What to do; without it, show.")] = Action.SHOW,
    service: Annotated[str | None, typer.Argument(help="The consumer, named as its service; show: its types.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Accept: only of this type of event.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Accept: why; it is kept, and shown.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept: without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Show: the whole sheet on standard output.")] = False,
) -> None:
    """Show whether what became of events at every consumer adds up to what is archived, or accept what does not.

    What is accepted is an alarm no longer; more of it is one again. The exit code is 1 when something does not add up,
    or nobody can say, for a service does not answer.
    """
    import httpx

    from cli.asking import client_of

    if service is not None:
        known_service(service)
    with client_of(address_of(LEDGER), timeout=30) as client:
        try:
            sheet = answer_of(client.get("/balance"))
            if action == Action.ACCEPT:
                wanted = _wanted(sheet, service, event_type, reason)
                if yes or typer.confirm("Accept this?"):
                    answer_of(client.post("/balance/acceptances", json=wanted))
                    _say(f"{service}: accepted. It stays on the sheet, and more of it is an alarm.")
                return
        except httpx.HTTPError as error:
            fail(f"{LEDGER} does not answer ({error}). See: ./sliceline logs {LEDGER}")
    if as_json:
        typer.echo(json.dumps(sheet, indent=2))
    else:
        _show(sheet, service)
    silent = [name for name in sheet["silent"] if service in (None, name)]
    if silent:
        fail(f"Whether all adds up cannot be said: {', '.join(silent)} {'do' if silent[1:] else 'does'} not answer.")
    raise typer.Exit(0 if sheet["balances"] else 1)


def _wanted(sheet: dict[str, Any], service: str | None, event_type: str | None, reason: str | None) -> dict[str, Any]:
    """Show what there is to accept, and return the request that does."""
    if service is None or reason is None:
        fail("Say whose, and why: ./sliceline balance accept SERVICE --reason WHY", code=2)
    found = [each for of in sheet["consumers"] if of["consumer"] == service for each in of["differences"]]
    chosen = [each for each in found if event_type in (None, each["type"])]
    if not chosen:
        fail(f"There is nothing to accept: {service} adds up{f' in {event_type}' if event_type else ''}.")
    for each in chosen:
        _say(f"{service}: {_difference(each)}")
    sums = {name: sum(each[name] for each in chosen) for name in ("missing", "twice")}
    return {"consumer": service, "type": event_type, "reason": reason, **sums}


def _show(sheet: dict[str, Any], service: str | None) -> None:
    from rich.table import Table

    shown = [each for each in sheet["consumers"] if service in (None, each["consumer"])]
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("", no_wrap=True)
    for title in FATES:
        table.add_column(title.replace("_", " "), justify="right")
    for consumer in shown:
        for name, counts in _rows(consumer, of_types=service is not None):
            colour = "green" if consumer["balances"] else "red"
            table.add_row(f"[{colour}]{name}[/]", *(str(counts[each]) for each in FATES))
    if shown:
        console.print(table)
    for consumer in shown:
        _show_rest(consumer)
    _show_others(sheet, service)


def _show_others(sheet: dict[str, Any], service: str | None) -> None:
    """Show whom there is no sheet of, and why."""
    silent = {name: f"does not answer. See: ./sliceline logs {name}" for name in sheet["silent"]}
    others = {each["consumer"]: f"has no sheet. {each['why']}" for each in sheet["not_listed"]}
    for name, said in (silent | others).items():
        if service in (None, name):
            _say(f"{name} {said}", "red" if name in silent else "dim")


def _rows(consumer: dict[str, Any], *, of_types: bool) -> list[tuple[str, Counter[str]]]:
    """Return a row for each type, or one for all."""
    if of_types:
        return [(each["type"], Counter({name: each[name] for name in FATES})) for each in consumer["entries"]]
    sums = Counter[str]()
    for each in consumer["entries"]:
        sums.update({name: each[name] for name in FATES})
    return [(consumer["consumer"], sums)]


def _show_rest(consumer: dict[str, Any]) -> None:
    """Show what is wrong, what of that somebody has accepted, and what cannot be compared."""
    name = consumer["consumer"]
    for each in consumer["differences"]:
        _say(f"{name}: {_difference(each)}", "red")
        for event in each["candidates"]:
            _say(f"  may be {event}", "red")
    for each in consumer["accepted"]:
        at = f"{each['accepted_at'][:10]} {each['accepted_at'][11:19]}Z"
        _say(f"{name}: {_difference(each)}; accepted by {each['by']} at {at}: {each['reason']}", "yellow")
    for each in consumer["open"]:
        _say(f"{name}: {each['topic']} partition {each['partition']} cannot be compared: {each['why']}", "dim")


def _difference(each: dict[str, Any]) -> str:
    counts = [f"{each[name]} {said}" for name, said in (("missing", "missing"), ("twice", "twice")) if each[name]]
    return f"{' and '.join(counts)} of {each['type']} in {each['topic']} partition {each['partition']}"


def _say(line: str, style: str | None = None) -> None:
    console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)
