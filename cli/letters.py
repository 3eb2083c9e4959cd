"""Prints dead letters, and what came of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from backbone.consuming.redriven import WORDS
from backbone.values.marking import marked
from cli.console import console

MOMENTS = ("first", "last")


def show_list(items: Iterable[Mapping[str, Any]]) -> None:
    """Print letters as a table; payloads are not among it."""
    table = _table("letter", "key", "type", "tries", "group", "error")
    for each in items:
        error = each["error"] or "waits behind another of its key"
        table.add_row(*map(_text, (each["id"], each["key"], each["type"], each["attempts"], each["group"], error)))
    console.print(table)


def show_groups(items: Iterable[Mapping[str, Any]]) -> None:
    """Print groups as a table, the largest first."""
    table = _table("group", "count", "keys", "held", "type", "first", "last", "where", "error")
    for each in items:
        moments = (each["first_at"][:19], each["last_at"][:19])
        numbers = (each["group"], each["count"], each["keys"], each["held"], each["type"])
        table.add_row(*map(_text, (*numbers, *moments, each["frame"], each["error"])))
    console.print(table)


def show_page(letter: Mapping[str, Any], before: Sequence[str] | None = None) -> None:
    """Print all there is to know of one letter, its payload as JSON, and above it what fails in it.

    `before`: what the ledger's archive has before it on its key; None: nobody has asked it, or it does not know.
    """
    for name in ("id", "consumer", "topic", "partition", "offset", "key", "type", "sequence", "parked_at"):
        _fact(name, letter[name])
    contract = letter["contract"] or {}
    _fact("contract", f"version {contract.get('version')}, {contract.get('dataschema')}" if contract else None)
    for name in ("error", "group", "attempts", "failed_at", "reads_now", "trace", "correlation", "event"):
        _fact(name, letter[name])
    for frame in letter["frames"]:
        console.print(f"  {frame['file']}:{frame['line']} {frame['function']}", highlight=False, markup=False)
        console.print(f"    {frame['code']}", highlight=False, markup=False)
    _section("headers", (f"{each['name']}: {each['value']}" for each in letter["headers"]))
    if before is None:
        kept = (f"{each['id']} {each['type']} {each['state']}" for each in letter["before"])
        _section("before it on its key, of what the service still has (the ledger does not tell)", kept)
    else:
        _section("before it on its key, by the ledger's archive", before)
    _section(f"behind it, {letter['held']}", (f"{each['id']} {each['type']}" for each in letter["behind"]))
    _section("redrives", (f"{each['redrive']} {each['at'][:19]} {_tried(each)}" for each in letter["redrives"]))
    _section(
        "edits", (f"{each['edited_at'][:19]} by {each['edited_by']}: {each['reason']}" for each in letter["edits"])
    )
    _section("acts", (f"{each['at'][:19]} {each['actor']} {each['act']}" for each in letter["acts"]))
    _section("failing", (f"{each['path'] or 'data'}: {each['message']}" for each in letter["failing"]))
    console.print("payload", style="bold")
    for line, fails in marked(letter["payload"], [each["path"] for each in letter["failing"]]):
        console.print(line, style="red" if fails else None, highlight=False, markup=False, soft_wrap=True)


def show_dry_run(report: Mapping[str, Any], failed: Iterable[Mapping[str, Any]] = ()) -> None:
    """Print what would come of a redrive, and why letters that `failed` did so, the first of each error."""
    console.print(f"Dry run of {report['total']}: {_counted(report)}. Nothing was changed.", highlight=False)
    table = _table("table", "inserted", "updated", "deleted")
    for name, numbers in (report["changes"] or {}).items():
        table.add_row(name, *(str(numbers[what]) for what in ("inserted", "updated", "deleted")))
    console.print(table)
    errors: dict[str, int] = {}
    for each in failed:
        errors.setdefault(str(each["error"]), each["letter"])
    for error, letter in errors.items():
        console.print(f"Letter {letter} would fail: {error}", highlight=False, markup=False, soft_wrap=True)


def show_report(service: str, report: Mapping[str, Any]) -> None:
    """Print what came of a redrive."""
    said = f"{service}: redrive {report['id']} is {report['state']}: {_counted(report)}."
    console.print(said, highlight=False, soft_wrap=True)


def _counted(report: Mapping[str, Any]) -> str:
    counts = [f"{count} {WORDS[outcome]}" for outcome, count in report["outcomes"].items() if count]
    return ", ".join(counts) or "nothing to handle"


def _tried(attempt: Mapping[str, Any]) -> str:
    error = f": {attempt['error']}" if attempt["error"] else ""
    return f"{'would be ' if attempt['dry_run'] else ''}{attempt['outcome']}{error}"


def _table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for title in titles:
        table.add_column(title, style="bold" if title == titles[0] else "", overflow="fold", no_wrap=title in MOMENTS)
    return table


def _text(value: object) -> Text:
    return Text("" if value is None else str(value))


def _fact(name: str, value: object) -> None:
    if value is not None:
        console.print(f"{name.replace('_', ' '):<14}{value}", highlight=False, markup=False, soft_wrap=True)


def _section(title: str, lines: Iterable[str]) -> None:
    if told := list(lines):
        console.print(title, style="bold")
        for line in told:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
