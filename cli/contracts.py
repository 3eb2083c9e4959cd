"""./sliceline contracts: check contracts against the code, against what was released and against who reads them."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from cli import cataloguing, contracting, readers
from cli.console import console, fail


class Action(StrEnum):
    """Names what can be done."""

    WRITE = "write"
    CHECK = "check"
    DIFF = "diff"
    IMPACT = "impact"
    RELEASE = "release"
    READERS = "readers"
    RETIRE = "retire"
    CATALOGUE = "catalogue"
    EVENTCATALOG = "eventcatalog"


def contracts(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.WRITE,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EVENT or FOLDER] [FIELD or EVENT]", help="See below.", show_default=False),
    ] = None,
    sarif: Annotated[bool, typer.Option("--sarif", help="Check: print SARIF 2.1.0 instead of words.")] = False,
    github: Annotated[bool, typer.Option("--github", help="Check: print annotations of GitHub's workflows.")] = False,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="ADDRESS", help="Readers and retire: ask one elsewhere, too (http://host:8100)."),
    ] = None,
) -> None:
    """Keep the contracts of events: write, check, diff, impact, release, readers, retire, catalogue or eventcatalog.

    write checks contracts against the code and, where nothing is wrong, writes schemas/consumers/, docs/events.md,
    docs/reference.md, docs/asvs.md and docs/permissions.md anew. check refuses what would break somebody: it
    compares each schema with all its released forms and with what each reader takes. diff A B tells what differs
    between two versions (diff A: since its release); impact EVENT FIELD who reads a field. release writes down the
    forms that are new (schemas/released.jsonl). readers tells who reads which version, declared and seen in the
    running shop; retire EVENT lets a version go that nobody reads. docs/changing-an-event.md walks through all of
    it. catalogue builds pages about every event, and AsyncAPI for all topics, into docs/catalogue (or FOLDER);
    eventcatalog FOLDER writes the same for EventCatalog.
    """
    if action is not Action.CHECK and (sarif or github):
        fail(f"--sarif and --github are for check, not for {action}.", code=2)
    done, shapes = ACTIONS[action]
    if len(words or []) not in (shape.count(" ") for shape in shapes):
        fail(f"Say it as ./sliceline contracts {' or '.join(shapes)}.", code=2)
    if at and action not in ASKING:
        fail(f"--at is for {' and '.join(ASKING)}, not for {action}.", code=2)
    if action is Action.CHECK:
        contracting.check(sarif=sarif, github=github)
    elif action in ASKING:
        done(*words or [], at=at or [])
    else:
        done(*words or [])


def write() -> None:
    """Check the contracts against the code, then write what follows from it.

    Where something is wrong nothing is written: each thing is told in a sentence, and the exit code is 1.
    """
    from deployment.catalogue import committed, generated
    from deployment.objections import absences, departures, load_services, objections

    services, unloaded = load_services()
    if wrong := list(dict.fromkeys([*unloaded, *objections(services)])):
        fail("\n".join(wrong))
    files = generated(services)
    for stale in committed() - files.keys():
        stale.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for said in (*absences(services), *departures(services)):
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    console.print(f"{len(files)} files are as the code has it. Commit them with your change.")


ACTIONS: dict[Action, tuple[Callable[..., None], tuple[str, ...]]] = {
    Action.WRITE: (write, ("write",)),
    Action.CHECK: (contracting.check, ("check",)),
    Action.DIFF: (contracting.diff, ("diff EVENT", "diff EVENT EVENT")),
    Action.IMPACT: (contracting.impact, ("impact EVENT FIELD",)),
    Action.RELEASE: (contracting.release, ("release",)),
    Action.READERS: (readers.show_readers, ("readers", "readers EVENT")),
    Action.RETIRE: (readers.retire, ("retire EVENT",)),
    Action.CATALOGUE: (cataloguing.catalogue, ("catalogue", "catalogue FOLDER")),
    Action.EVENTCATALOG: (cataloguing.eventcatalog, ("eventcatalog FOLDER",)),
}
"""What is done, and how it is said: a word of the command for each of its arguments."""
ASKING = (Action.READERS, Action.RETIRE)
"""Those that ask who runs."""
