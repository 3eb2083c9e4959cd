"""./sliceline contracts on a copy of the real contracts: check, diff, impact, release and retire."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backbone.events import contracts
from backbone.events.fields import line_of
from cli.__main__ import app
from deployment import released
from deployment.gate import judge, read_tree
from deployment.objections import objections
from deployment.reading import Seen
from deployment.released import BrokenLock

COMPLETED = "orders/order-completed.v1.json"


EVENTS = (
    *(
        "orders.order-completed.v1",
        "orders.order-confirmed.v1",
        "orders.order-confirmed.v2",
        "loyalty.points-earned.v1",
    ),
    *("kitchen.cancellation-refused.v1", "delivery.cancellation-refused.v1"),
)


@pytest.fixture
def schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of some of the contracts, with whatever belongs to them."""
    for event in EVENTS:
        service, _, name = event.partition(".")
        for pattern in (f"{service}/{name}.json", f"{service}/samples/{name}*.json", f"consumers/*/{event}.json"):
            for file in contracts.SCHEMAS.glob(pattern):
                copy = tmp_path / "schemas" / file.relative_to(contracts.SCHEMAS)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
    forms = [form for form in released.read() if form.type.removeprefix("sliceline.") in EVENTS]
    monkeypatch.setattr(contracts, "SCHEMAS", tmp_path / "schemas")
    released.write(forms)
    return tmp_path / "schemas"


def said(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["contracts", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def change(file: Path, how: Callable[[dict[str, Any]], object]) -> None:
    schema = json.loads(file.read_bytes())
    how(schema)
    file.write_text(json.dumps(schema, indent=2))


def without_total(schema: dict[str, Any]) -> None:
    schema["required"].remove("total")
    del schema["properties"]["total"]


def with_channel(schema: dict[str, Any]) -> None:
    schema["properties"]["channel"] = {"type": "string", "description": "Where.", "x-optional": "It is new."}


def test_the_contracts_of_the_tree_break_nobody() -> None:
    judged = judge(read_tree())
    assert judged.findings == []
    assert judged.contracts > 50
    assert judged.forms > 50


def test_a_field_that_is_read_cannot_go(schemas: Path) -> None:
    change(schemas / COMPLETED, without_total)
    code, out, err = said("check")
    assert code == 1
    first, sentence, rule, instead = out.splitlines()[:4]
    line = first.rpartition(":")[2]
    assert first == f"schemas/{COMPLETED}:{line}"
    assert '"properties"' in (schemas / COMPLETED).read_text().splitlines()[int(line) - 1]
    assert sentence == "  orders.order-completed.v1: total removed; read by loyalty"
    assert rule == "  Rule removed: A field of a released contract stays."
    assert instead.startswith("  Instead: leave this version as it is, and publish order-completed.v2 beside it")
    assert err.endswith(": 1 refused.\n")


def test_what_cannot_be_decided_is_counted_and_refused(schemas: Path) -> None:
    change(schemas / COMPLETED, lambda schema: schema.update(dependentRequired={"total": ["order"]}))
    code, out, err = said("check")
    assert code == 1
    assert "dependentRequired cannot be judged" in out
    assert err.endswith("1 refused, of them 1 that cannot be decided.\n")


def test_github_shows_a_finding_beside_its_line(schemas: Path) -> None:
    change(schemas / COMPLETED, lambda schema: schema["properties"]["customer_id"].update(maxLength=8))
    code, out, _ = said("check", "--github")
    [annotation] = out.splitlines()
    where, _, message = annotation.removeprefix("::error ").partition("::")
    place = dict(each.split("=", 1) for each in where.split(","))
    assert (code, place["file"], place["title"]) == (1, f"schemas/{COMPLETED}", "contract%3A limits")
    assert '"customer_id"' in (schemas / COMPLETED).read_text().splitlines()[int(place["line"]) - 1]
    assert message.startswith("orders.order-completed.v1: ")


def test_sarif_names_rule_file_and_line_of_each_finding(schemas: Path) -> None:
    change(schemas / COMPLETED, without_total)
    (schemas / "loyalty" / "samples" / "points-earned.v1.json").write_text('{"points": 1}')
    code, out, _ = said("check", "--sarif")
    [run] = json.loads(out)["runs"]
    assert code == 1
    assert {result["ruleId"] for result in run["results"]} == {"removed", "sample"}
    for result in run["results"]:
        [place] = [each["physicalLocation"] for each in result["locations"]]
        assert (schemas.parent / place["artifactLocation"]["uri"]).exists()
        assert place["region"]["startLine"] >= 1
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_nothing_found_is_sarif_too(schemas: Path) -> None:
    code, out, _ = said("check", "--sarif")
    assert (code, json.loads(out)["runs"][0]["results"]) == (0, [])


@pytest.mark.parametrize(
    ("lack", "told"),
    [
        (lambda schema: schema.pop("x-owner"), ' has no "x-owner", an address: who is asked before it changes?'),
        (lambda schema: schema["properties"]["order"].pop("description"), ': order has no "description": what'),
        (
            lambda schema: schema["$defs"]["money"]["properties"]["amount"].pop("x-unit"),
            ': total.amount has no "x-unit"',
        ),
        (lambda schema: schema["required"].remove("order"), ': order is not required and has no "x-optional": why'),
    ],
    ids=["owner", "meaning", "unit", "reason"],
)
def test_whatever_is_not_written_down_of_a_field_is_objected_to(
    schemas: Path, lack: Callable[[dict[str, Any]], object], told: str
) -> None:
    assert not [said for said in objections({}) if COMPLETED in said and "x-" in said]
    change(schemas / COMPLETED, lack)
    assert [said for said in objections({}) if said.startswith(f"schemas/{COMPLETED}{told}")]


def test_a_difference_is_told_field_by_field(schemas: Path) -> None:
    _, out, _ = said("diff", "order-confirmed.v1", "order-confirmed.v2")
    assert "~ total: type integer -> object" in out.splitlines()
    assert "+ total.currency: required, string. ISO 4217." in out.splitlines()
    change(schemas / COMPLETED, without_total)
    change(schemas / COMPLETED, with_channel)
    _, out, _ = said("diff", "order-completed")
    assert out.splitlines() == [
        "+ channel: optional, string. Where.",
        "- total: required, object. What the order costs: the sum of its lines.",
        *(line for line in out.splitlines() if line.startswith("- total.")),
    ]


def test_who_reads_a_field_is_told_of_each_version(schemas: Path) -> None:
    _, out, _ = said("impact", "order-confirmed", "total")
    assert [line.partition(": ")[0] for line in out.splitlines()] == [
        "orders.order-confirmed.v1",
        "orders.order-confirmed.v2",
    ]
    assert said("impact", "order-completed", "total.amount")[1].startswith(
        "orders.order-completed.v1: total.amount: read by"
    )
    assert "(it has no such field): nobody here reads it" in said("impact", "order-completed", "colour")[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("impact", "order-completed"), "impact EVENT FIELD"),
        (("diff",), "diff EVENT or diff EVENT EVENT"),
        (("check", "order-completed"), "contracts check."),
        (("diff", "order-complted"), "Did you mean orders.order-completed.v1?"),
        (("impact", "cancellation-refused", "order"), "delivery and kitchen both publish cancellation-refused"),
        (("retire", "order-completed"), "Declared by "),
        (("retire", "order-confirmed"), "Say which version: orders.order-confirmed.v1, orders.order-confirmed.v2."),
        (("check", "--at", "http://127.0.0.1:9"), "--at is for readers and retire, not for check"),
        (("write", "--sarif"), "are for check, not for write"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_told(
    schemas: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.setattr("cli.readers.look", lambda _: None)  # whatever shop runs on this machine
    code, _, err = said(*words)
    assert code
    assert told in err


def test_a_release_writes_down_what_is_new_and_holds_to_it(schemas: Path) -> None:
    change(schemas / COMPLETED, with_channel)
    assert said("check")[2].endswith("nothing breaks anybody. Not released as they stand: 1.\n")
    assert said("release")[1].splitlines() == ["orders.order-completed.v1, form 2"]
    assert said("release")[1] == ""
    change(schemas / COMPLETED, lambda schema: schema["properties"].pop("channel"))
    assert "channel removed; nobody here reads it" in said("check")[1]
    code, _, err = said("release")
    assert code == 1
    assert "Nothing was released." in err


def test_a_version_that_nobody_reads_can_go_and_does_not_come_back(
    schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.readers.look", lambda _: Seen())
    earned, sample = (schemas / f"loyalty/{folder}points-earned.v1.json" for folder in ("", "samples/"))
    for views in schemas.glob("consumers/*/loyalty.points-earned.v1.json"):
        views.unlink()
    kept = [earned.read_text(), sample.read_text()]
    end = {"from": "2026-01-01", "sunset": "2026-02-01", "use": "sliceline.loyalty.points-earned.v2", "how": "…"}
    change(earned, lambda schema: schema.update({"deprecated": True, "x-deprecation": end}))
    assert said("retire", "points-earned")[0] == 0
    assert said("check")[0] == 0
    earned.unlink()
    sample.unlink()
    assert said("check")[0] == 0
    for file, text in zip((earned, sample), kept, strict=True):
        file.write_text(text)
    assert "this version was retired" in said("check")[1]


@pytest.mark.parametrize(
    "spoil", [lambda line: line.replace("The order", "An order"), lambda _: "{}\n", lambda _: "x\n"]
)
def test_a_released_form_that_was_edited_is_noticed(schemas: Path, spoil: Callable[[str], str]) -> None:
    lock = schemas / released.NAME
    lines = lock.read_text().splitlines(keepends=True)
    [at] = [number for number, line in enumerate(lines) if 'order-completed.v1",' in line[:60]]
    lock.write_text("".join([*lines[:at], spoil(lines[at]), *lines[at + 1 :]]))
    with pytest.raises(BrokenLock, match=f"line {at + 1}"):
        released.read()
    assert f"line {at + 1}" in said("check")[2]


def test_a_form_that_is_gone_and_one_that_is_there_twice_are_noticed(schemas: Path) -> None:
    change(schemas / COMPLETED, with_channel)
    assert said("release")[0] == 0
    lock = schemas / released.NAME
    lines = lock.read_text().splitlines(keepends=True)
    [first, second] = [number for number, line in enumerate(lines) if 'order-completed.v1",' in line[:60]]
    for left in (lines[:first] + lines[second:], [*lines, lines[second]]):
        lock.write_text("".join(left))
        for words in ("check", "release"):
            code, _, err = said(words)
            assert code == 1
            assert "form 2 of sliceline.orders.order-completed.v1 stands where form" in err


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("order-completed.json", "{}", "is named after no event"),
        ("orders.order-completed.v1.json", "[]", "is no JSON object"),
        ("orders.order-completed.v1.json", '{"type": "objct"}', "is no schema that can be checked"),
        ("orders.order-completed.v1.json", '{"properties": 5}', "is no schema that can be checked"),
    ],
    ids=["name", "list", "type", "properties"],
)
def test_a_readers_file_that_cannot_be_read_is_named(schemas: Path, name: str, text: str, told: str) -> None:
    (schemas / "consumers" / "loyalty" / name).write_text(text)
    code, _, err = said("check")
    assert code == 1
    assert f"consumers/loyalty/{name}" in err
    assert told in err


def test_a_reader_of_an_event_that_never_was_is_told_so(schemas: Path) -> None:
    (schemas / "consumers" / "loyalty" / "orders.order-complted.v1.json").write_text('{"type": "object"}')
    assert "orders.order-complted.v1: there is no such contract; read by loyalty" in said("check")[1]


def test_the_line_of_a_field_is_not_that_of_one_with_its_name_elsewhere() -> None:
    text = """{
  "description": "properties: {\\"total\\": 1}",
  "properties": {
    "lines": {"items": {"properties": {
      "total": {}}}},
    "total": {},
    "x": []
  }
}"""
    assert line_of(text, ("properties", "total")) == 6
    assert line_of(text, ("properties", "lines", "items", "properties", "total")) == 5
    assert line_of(text, ("properties", "gone")) == 3
    assert line_of(text, ("properties", "x", "y")) == 7
    assert line_of("{}", ("properties",)) == 1


def test_a_file_that_is_no_json_is_named(schemas: Path) -> None:
    (schemas / COMPLETED).write_text("{")
    assert f"{COMPLETED} is no JSON" in said("check")[2]


def test_forms_are_written_by_type_and_number(schemas: Path) -> None:
    forms = released.read()
    released.write(reversed(forms))
    assert released.read() == forms
