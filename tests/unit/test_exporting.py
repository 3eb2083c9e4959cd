"""How an export types events, and what it remembers of them."""

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import typer

from backbone.consuming.batch import Letter
from backbone.events import contracts
from backbone.events.envelope import Envelope, parse_type, to_record
from backbone.ids import new_id
from cli.exporting.columns import Sheet, sheet_of
from cli.exporting.folder import Chunk
from cli.exporting.found import read
from cli.exporting.ledger import Ledger
from cli.moments import moment_of
from deployment.catalogue import sample_of
from tests.exporting import DAY, TYPES, event

SHOP = {"orders", "inventory", "payments", "kitchen", "delivery", "loyalty", "alerts", "notifications", "carts"}
"""Whose contracts leave nothing open; rules, webhooks and partners speak of anybody's events."""


def _sheet(monkeypatch: pytest.MonkeyPatch, folder: Path, **properties: Any) -> Sheet:
    """The columns of a contract with these fields."""
    monkeypatch.setattr(contracts, "SCHEMAS", folder)
    name = f"t{new_id().replace('-', '')}"
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests" / f"{name}.v1.json").write_bytes(orjson.dumps({"type": "object", "properties": properties}))
    return sheet_of(f"sliceline.tests.{name}.v1")


@pytest.mark.parametrize(
    ("described", "column"),
    [
        ({"type": "string"}, pa.string()),
        ({"type": ["integer", "null"]}, pa.int64()),
        ({"type": "number"}, pa.float64()),
        ({"enum": ["low", "out"]}, pa.string()),
        ({"const": "low"}, pa.string()),
        ({"type": "array", "items": {"type": "boolean"}}, pa.list_(pa.bool_())),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, pa.struct([("a", pa.string())])),
    ],
)
def test_a_field_has_the_type_that_its_contract_gives_it(
    described: dict[str, Any], column: pa.DataType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = _sheet(monkeypatch, tmp_path, field=described)
    assert sheet.schema.field("data").type == pa.struct([("field", column)])


@pytest.mark.parametrize(
    "described",
    [{}, {"type": ["integer", "string"]}, {"anyOf": [{"type": "string"}]}, {"enum": [1, "a"]}, {"type": "object"}],
)
def test_a_field_of_no_one_shape_has_no_column_and_its_events_are_kept_whole(
    described: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = _sheet(monkeypatch, tmp_path, field=described, other={"type": "string"})
    assert sheet.schema.field("data").type == pa.struct([("other", pa.string())])
    assert not sheet.names.tell_all({"field": 1, "other": "x"})
    assert sheet.names.tell_all({"other": "x"})


def test_what_is_more_than_named_is_noticed_wherever_it_stands() -> None:
    names = sheet_of("sliceline.orders.order-confirmed.v2").names
    line = {"item": "cola", "quantity": 1}
    assert names.tell_all({"order": "x", "lines": [line], "customer": None})
    assert not names.tell_all({"order": "x", "lines": [line, {**line, "note": "cold"}]})


@pytest.mark.parametrize("event_type", TYPES)
def test_a_contract_of_ours_has_a_column_for_each_field_or_its_events_are_kept_whole(event_type: str) -> None:
    named = contracts.schema_of(event_type)["properties"]
    columns = {field.name for field in sheet_of(event_type).schema.field("data").type}
    sample = sample_of(event_type)
    assert columns == set(named) or not sheet_of(event_type).names.tell_all(sample)
    assert columns == set(named) or parse_type(event_type).service not in SHOP


def _row(envelope: Envelope) -> dict[str, Any]:
    """The event as it comes out of a chunk."""
    key, value, headers = to_record(envelope)
    chunk = Chunk(1)
    chunk.add(read(Letter("orders.events", 0, 5, key, value, headers), 0, "a log"))
    [table] = chunk.tables().values()
    [row] = table.to_pylist()
    return dict(row)


def test_a_whole_number_may_be_written_with_a_point() -> None:
    row = _row(
        event("sliceline.loyalty.points-earned.v1", data=b'{"order":"a","customer_id":"b","points":1.0,"balance":1e0}')
    )
    assert row["data"] == {"order": "a", "customer_id": "b", "points": 1, "balance": 1}


def test_data_that_no_column_can_hold_is_kept_as_text_and_costs_no_other_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sheet(monkeypatch, tmp_path, number={"type": "integer"})
    [path] = tmp_path.glob("tests/*.json")
    event_type = f"sliceline.tests.{path.stem}"
    chunk = Chunk(1)
    for offset, number in enumerate([b"1", b"1" + b"0" * 30]):
        key, value, headers = to_record(event(event_type, data=b'{"number": ' + number + b"}"))
        chunk.add(read(Letter("orders.events", 0, offset, key, value, headers), 0, "a log"))
    [table] = chunk.tables().values()
    fits, too_large = table.to_pylist()
    assert (fits["data"], too_large["data"]) == ({"number": 1}, None)
    assert orjson.loads(too_large["raw"]) == {"number": 1e30}
    assert too_large["problem"]


def test_a_time_that_is_not_ours_is_kept_exactly() -> None:
    row = _row(event(time="0001-01-01T00:00:00.000001Z"))
    assert row["time"].isoformat() == "0001-01-01T00:00:00.000001+00:00"
    assert _row(event())["time"] == DAY


@pytest.mark.parametrize(
    "ids",
    [
        (new_id(),),
        ("0193A5C0-8E00-7A3C-9D51-0242AC120002", "0193a5c0-8e00-7a3c-9d51-0242ac120002"),
        ("0193a5c08e007a3c9d510242ac120002", "0193a5c0-8e00-7a3c-9d51-0242ac120002"),
        ("5", "05", "a text"),
    ],
)
def test_ids_that_differ_in_a_letter_are_different_events(ids: tuple[str, ...], tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.reach_back(None)
    ledger.begin()
    assert [ledger.is_new("/a", each) for each in ids] == [True] * len(ids)
    assert [ledger.is_new("/a", each) for each in ids] == [False] * len(ids)
    assert all(ledger.is_new("/b", each) for each in ids)
    ledger.close()


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ("2026-11-20", "2026-11-20T00:00:00.000000Z"),
        ("2026-11-20T18:00", "2026-11-20T18:00:00.000000Z"),
        ("2026-11-20T18:00+01:00", "2026-11-20T17:00:00.000000Z"),
    ],
)
def test_since_takes_a_day_or_a_time_in_utc_unless_it_has_a_zone(said: str, moment: str) -> None:
    assert moment_of("--since", said) == moment


@pytest.mark.parametrize("said", ["yesterday", "", "2026-13-01", "0001-01-01T00:00+14:00"])
def test_since_says_what_it_takes(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        moment_of("--since", said)
    assert ended.value.exit_code == 2
    assert "--since takes a day or a time" in capsys.readouterr().err
