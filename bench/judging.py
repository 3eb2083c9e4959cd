"""Has others judge the planted changes that we judge, and prints the table: `python -m bench.judging --help`.

It needs no server. Each judge runs in an environment of its own that is made for it: jsoncompat from PyPI; Karapace and
Confluent's registry, which no package index has, from checkouts. One that cannot be had is left out and named.

Others compare two schemas at a time. So they are asked about every form that was released and in both directions, as a
registry does at its strictest level (FULL_TRANSITIVE), and only about changes that are one of a schema.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backbone.events.compatibility import Schema, closed
from bench.planting import Planted, planted
from deployment.gate import judge

PEERS = Path(__file__).with_name("peers")
PYTHON = ("uv", "run", "--no-project", "--quiet", "--python", "3.12")
JSONCOMPAT = "jsoncompat==0.5.0"
EVERIT = "com.github.erosb:everit-json-schema:1.14.4"
KARAPACE_NEEDS = ("avro", "jsonschema", "networkx")
SOURCES = "json-schema-provider/src/main/java/io/confluent/kafka/schemaregistry/json"
DIFF, UTILS, CANCELLATION = f"{SOURCES}/diff", f"{SOURCES}/utils", f"{SOURCES}/JsonSchemaCancellation.java"

Question = Sequence[Schema | str]
Answer = Callable[[list[Question]], list[bool]]
"""Tells of each question, in the shape that the judge takes, whether it is refused."""


class NotHere(Exception):
    """A judge cannot be had; the message says why."""


@dataclass(frozen=True)
class Judge:
    """Is somebody who is asked."""

    name: str
    ask: Answer
    questions: Callable[[Schema, Schema], list[Question]]
    """What to ask about a released form and a new one; the change is refused where one of them is."""


def both_ways(old: Schema, new: Schema) -> list[Question]:
    """Ask as a registry does: reader and writer, both ways."""
    return [(new, old), (old, new)]


def as_they_are(old: Schema, new: Schema) -> list[Question]:
    """Ask jsoncompat as its manual does."""
    return [(old, new, "both")]


def writer_closed(old: Schema, new: Schema) -> list[Question]:
    """Ask jsoncompat as we ask: a writer says nothing that his schema does not name."""
    return [(closed(old), new, "deserializer"), (old, closed(new), "serializer")]


def judges(karapace: Path | None, confluent: Path | None) -> list[Judge]:
    """List those who are asked."""
    return [
        Judge("jsoncompat, schemas as they are", ask_jsoncompat, as_they_are),
        Judge("jsoncompat, writer closed", ask_jsoncompat, writer_closed),
        Judge("Karapace", lambda asked: ask_karapace(karapace, asked), both_ways),
        Judge("Confluent", lambda asked: ask_confluent(confluent, asked), both_ways),
    ]


def ask_jsoncompat(asked: list[Question]) -> list[bool]:
    return _run([*PYTHON, "--with", JSONCOMPAT, "python", str(PEERS / "jsoncompat_judge.py")], asked)


def ask_karapace(checkout: Path | None, asked: list[Question]) -> list[bool]:
    """Ask a checkout of github.com/Aiven-Open/karapace."""
    if checkout is None:
        raise NotHere("no checkout was named")
    needs = [word for each in KARAPACE_NEEDS for word in ("--with", each)]
    path = f"PYTHONPATH={checkout.resolve() / 'src'}"
    return _run([*PYTHON, *needs, "env", path, "python", str(PEERS / "karapace_judge.py")], asked)


def ask_confluent(checkout: Path | None, asked: list[Question]) -> list[bool]:
    """Ask the SchemaDiff of a checkout of github.com/confluentinc/schema-registry, compiled here."""
    if checkout is None:
        raise NotHere("no checkout was named")
    with tempfile.TemporaryDirectory() as folder:
        classes = os.pathsep.join([folder, *_everit()])
        sources = [
            *checkout.glob(f"{DIFF}/*.java"),
            *checkout.glob(f"{UTILS}/*.java"),
            *(PEERS / "confluent").iterdir(),
        ]
        _succeed(["javac", "-nowarn", "-d", folder, "-cp", classes, checkout / CANCELLATION, *sources])
        return _run(["java", "-cp", classes, "Judge"], asked)


def _everit() -> list[str]:
    """Find the jars of the schema library that it compares."""
    import jgo

    return [str(each.resolve()) for each in jgo.resolve(EVERIT)]


def _run(command: Sequence[str], asked: list[Question]) -> list[bool]:
    answers: list[bool] = json.loads(_succeed(command, json.dumps(asked)))
    return answers


def _succeed(command: Sequence[str | Path], said: str = "") -> str:
    try:
        done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=300)
    except FileNotFoundError as error:
        raise NotHere(str(error)) from None
    if done.returncode:
        raise NotHere((done.stderr.strip() or "it failed").splitlines()[-1])
    return done.stdout


def verdicts(asked: Judge, changes: Sequence[Planted]) -> dict[str, bool]:
    """Tell of each change whether a judge refuses it, by its name."""
    questions = [(change, question) for change in changes for question in _questions(asked, change)]
    answers = asked.ask([question for _, question in questions])
    refused = {change.name for (change, _), answer in zip(questions, answers, strict=True) if answer}
    return {change.name: change.name in refused for change in changes}


def _questions(asked: Judge, change: Planted) -> Iterator[Question]:
    assert change.schemas
    forms, new = change.schemas
    for form in forms:
        yield from asked.questions(form, new)


def table(found: dict[str, dict[str, bool]], changes: Sequence[Planted]) -> Iterator[str]:
    """Write who judged how many rightly, and who was wrong about which change."""
    breaking = [each.name for each in changes if each.kind == "breaking"]
    safe = [each.name for each in changes if each.kind == "safe"]
    yield f"| judge | refuses, of {len(breaking)} that break | passes, of {len(safe)} that do not |"
    yield "| --- | ---: | ---: |"
    for name, refused in found.items():
        yield f"| {name} | {sum(refused[each] for each in breaking)} | {sum(not refused[each] for each in safe)} |"
    for name, refused in found.items():
        yield f"\n{name} passes: {_listed([each for each in breaking if not refused[each]])}"
        yield f"{name} refuses: {_listed([each for each in safe if refused[each]])}"


def _listed(names: Sequence[str]) -> str:
    return "; ".join(names) or "nothing wrongly"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.judging", description="How others judge the planted changes."
    )
    parser.add_argument("--karapace", type=Path, help="a checkout of github.com/Aiven-Open/karapace")
    parser.add_argument("--confluent", type=Path, help="a checkout of github.com/confluentinc/schema-registry")
    named = parser.parse_args()
    changes = [
        each
        for each in planted()
        if each.schemas and each.kind != "undecided" and each.said.get("rule") not in ("sunset", "broken")
    ]
    found = {"`contracts check`": {each.name: bool(judge(each.tree).findings) for each in changes}}
    for asked in judges(named.karapace, named.confluent):
        try:
            found[asked.name] = verdicts(asked, changes)
        except NotHere as error:
            print(f"{asked.name} is not here: {error}")
    print("\n".join(table(found, changes)))


if __name__ == "__main__":
    main()
