"""Does what `./sliceline contracts` does with contracts that were released: check, diff, impact, release."""

import json
from typing import TYPE_CHECKING

import typer

from cli.console import errors, fail

if TYPE_CHECKING:
    from deployment.differences import Contract
    from deployment.gate import Judgement, Tree


def check(*, sarif: bool = False, github: bool = False) -> None:
    """Refuse contracts that would break somebody."""
    from deployment.findings import as_annotation, as_sarif, as_text
    from deployment.gate import judge

    tree = _tree()
    judged = judge(tree)
    if sarif:
        typer.echo(json.dumps(as_sarif(judged.findings), indent=2))
    else:
        for finding in judged.findings:
            typer.echo(as_annotation(finding) if github else f"{as_text(finding)}\n")
    errors.print(
        f"{_summary(judged)}{'' if judged.findings else _unreleased(tree)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if judged.findings:
        raise typer.Exit(1)


def diff(first: str, second: str | None = None) -> None:
    """Tell what differs between two event versions, or what has changed in one since it was released."""
    from deployment.wording import changes

    tree = _tree()
    event_type = _version(tree, first)
    before, after = (
        (_standing(tree, event_type), _standing(tree, _version(tree, second)))
        if second
        else (
            _released(tree, event_type),
            _standing(tree, event_type),
        )
    )
    for line in changes(before.schema, after.schema):
        typer.echo(line)


def impact(event: str, field: str) -> None:
    """Tell who reads a field of an event, in each of its versions."""
    from backbone.events.fields import fields_of

    tree = _tree()
    for event_type in _versions(tree, event):
        known = fields_of(tree.current[event_type].schema) if event_type in tree.current else {}
        readers = tree.reading(event_type, field)
        said = f"read by {', '.join(readers)}" if readers else "nobody here reads it"
        there = "" if field in known else " (it has no such field)"
        typer.echo(f"{_short(event_type)}: {field}{there}: {said}")


def release() -> None:
    """Write down each contract that is new or has changed as a released form. From then on it is held to."""
    from backbone.version import VERSION
    from deployment import released
    from deployment.gate import judge

    tree = _tree()
    if judge(tree).findings:
        fail("Something would break somebody: ./sliceline contracts check says what. Nothing was released.")
    new = released.unreleased(tree.released, tree.current, VERSION)
    released.write([*tree.released, *new])
    for form in new:
        typer.echo(f"{_short(form.type)}, form {form.number}")
    errors.print(
        f"New forms: {len(new)}. Commit schemas/{released.NAME} with your change.", highlight=False, soft_wrap=True
    )


def _tree() -> "Tree":
    from backbone.errors import SlicelineError
    from deployment.gate import read_tree

    try:
        return read_tree()
    except SlicelineError as error:
        fail(str(error))


def _summary(judged: "Judgement") -> str:
    looked = (
        f"{judged.contracts} contracts against {judged.forms} released forms and {judged.readers} views of readers, "
        f"{judged.values} values tried"
    )
    if not judged.findings:
        return f"{looked}: nothing breaks anybody."
    cannot = f", of them {judged.undecided} that cannot be decided" if judged.undecided else ""
    return f"{looked}: {len(judged.findings)} refused{cannot}."


def _unreleased(tree: "Tree") -> str:
    from deployment.released import unreleased

    count = len(unreleased(tree.released, tree.current, ""))
    return f" Not released as they stand: {count}." if count else ""


def _released(tree: "Tree", event_type: str) -> "Contract":
    forms = tree.forms(event_type)
    if not forms:
        fail(f"{_short(event_type)} was never released. Name a second version to compare with.")
    return forms[-1].contract


def _standing(tree: "Tree", event_type: str) -> "Contract":
    if event_type in tree.current:
        return tree.current[event_type]
    return _released(tree, event_type)


def _version(tree: "Tree", text: str) -> str:
    """Find the one event version that is meant; without a version it is the newest."""
    return _versions(tree, text)[-1]


def _versions(tree: "Tree", text: str) -> list[str]:
    """Find the event versions that are meant: `order-placed`, `orders.order-placed.v1`, `sliceline.orders.…`."""
    from backbone.events.contracts import nearest
    from backbone.events.envelope import parse_type

    known = sorted({*tree.current, *(form.type for form in tree.released)}, key=parse_type)
    found = [each for each in known if text in _names(each)]
    if not found:
        near = nearest(f"sliceline.{text}")
        meant = f" Did you mean {_short(near)}?" if near else ""
        fail(f"There is no contract {text}.{meant} docs/events.md lists all.")
    if len(services := {parse_type(each).service for each in found}) > 1:
        fail(f"{' and '.join(sorted(services))} both publish {text}. Say which: {_short(found[0])}.")
    return found


def _names(event_type: str) -> tuple[str, ...]:
    from backbone.events.envelope import parse_type

    service, event, version = parse_type(event_type)
    return event_type, f"{service}.{event}.v{version}", f"{service}.{event}", f"{event}.v{version}", event


def _short(event_type: str) -> str:
    return event_type.removeprefix("sliceline.")
