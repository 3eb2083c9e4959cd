"""Who reads which version is found among those who declare it and those who are seen; retiring waits for both."""

import json
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from typer.testing import CliRunner

from backbone import declared as declaring
from backbone.consuming.batch_processor import BatchProcessor
from backbone.events import contracts
from backbone.events.contracts import BrokenSchema, leaving
from backbone.events.deprecation import Deprecation
from backbone.events.payload import Payload
from backbone.observing import metrics
from backbone.service import Service
from cli.__main__ import app
from deployment import objections, reading, released
from deployment.asking import Asking, asking
from deployment.differences import Contract
from deployment.reading import Seen, counted, declared, types_named, united, why_not
from deployment.released import BrokenLock, Form
from tests.all_services import SERVICES

V1, V2 = "sliceline.orders.order-confirmed.v1", "sliceline.orders.order-confirmed.v2"
LATER = date(2099, 1, 1)
NOBODY = Seen(asked=frozenset({"kitchen"}))
BAKED = {"type": ["sliceline.bakery.loaf-baked.v1"]}
SCHEMA = "/schemas/orders/order-confirmed.v1.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an owner's schemas, one of which is in two versions; readers declare none."""
    monkeypatch.setattr(contracts, "SCHEMAS", tmp_path)
    return tmp_path / "bakery"


def write(folder: Path, version: int, **said: object) -> str:
    folder.mkdir(exist_ok=True)
    schema = {"type": "object", "properties": {"loaf": {"type": "string"}}, **said}
    (folder / f"loaf-baked.v{version}.json").write_text(json.dumps(schema))
    return f"sliceline.bakery.loaf-baked.v{version}"


def on_its_way_out(**changes: str) -> dict[str, object]:
    said = {"from": "2026-01-01", "sunset": "2026-06-30", "use": "sliceline.bakery.loaf-baked.v2", "how": "As before."}
    return {"deprecated": True, "x-deprecation": said | changes}


def test_an_event_is_found_by_any_of_its_names() -> None:
    assert types_named("order-confirmed") == types_named("orders.order-confirmed") == [V1, V2]
    assert types_named("order-confirmed.v1") == types_named(V1) == [V1]
    assert types_named("order-eaten") == []


def test_who_declares_a_version_is_read_off_the_files_that_services_commit() -> None:
    assert declared(V1) == []
    assert {"kitchen", "delivery", "notifications"} <= set(declared(V2))


def test_a_consumer_shows_what_it_listens_to_before_the_first_event_comes() -> None:
    kitchen = SERVICES["kitchen"]
    BatchProcessor("kitchen-of-this-test", kitchen.handlers, None).tell_what_is_read()  # type: ignore[arg-type]
    BatchProcessor("ledger-of-this-test", SERVICES["ledger"].handlers, None).tell_what_is_read()  # type: ignore[arg-type]
    found = counted(generate_latest().decode())
    assert {
        name: of["kitchen-of-this-test"] for name, of in found.items() if "kitchen-of-this-test" in of
    } == dict.fromkeys(declared_by("kitchen"), 0)
    assert not [name for name, of in found.items() if "ledger-of-this-test" in of]  # takes all, whatever its version
    metrics.READ.clear()


def declared_by(service: str) -> list[str]:
    return [view.TYPE for view in SERVICES[service].handlers]


def test_what_the_processes_of_one_consumer_have_read_is_added_up() -> None:
    registry = CollectorRegistry()
    counter = Counter(f"{reading.READ}_total", "…", ["consumer", "type"], registry=registry)
    counter.labels("receipts", V1).inc(3)
    counter.labels("receipts", V2)
    one = counted(generate_latest(registry).decode())
    assert one == {V1: {"receipts": 3}, V2: {"receipts": 0}}
    assert united([one, one, {V2: {"kitchen": 1}}]) == {V1: {"receipts": 6}, V2: {"receipts": 0, "kitchen": 1}}


@pytest.mark.parametrize(
    ("pattern", "versions"),
    [
        ({"type": [V1], "source": ["/sliceline/orders"]}, [V1]),
        ({"type": [V1, V2]}, [V1, V2]),
        ({"$or": [{"type": [V1]}, {"type": [V2, {"prefix": "x"}]}]}, [V1, V2]),
        ({"$or": [{"type": [V1]}, {"source": ["/sliceline/orders"]}]}, [V1]),
        ({"type": [{"prefix": V1}]}, [V1]),
        ({"type": [{"suffix": ".order-confirmed.v1"}]}, [V1]),
        ({"type": [{"wildcard": "*.order-*.v2"}]}, [V2]),
        ({"type": [{"equals-ignore-case": V1.upper()}]}, [V1]),
        ({"type": [{"anything-but": [V2]}]}, [V1]),
        ({"dataschema": [{"suffix": SCHEMA}], "data": {"total": [{"numeric": [">", 100]}]}}, [V1]),
        ({"dataschema": [f"http://127.0.0.1:8009/catalogue{SCHEMA}"]}, [V1]),
        ({"type": [V1], "dataschema": [f"http://127.0.0.1:8009/catalogue{SCHEMA}"]}, [V1]),
        ({"type": [{"prefix": "sliceline.kitchen."}], "dataschema": [{"suffix": ".v1.json"}]}, []),
        ({"type": [{"prefix": "sliceline.orders."}]}, []),
        ({"type": [{"prefix": "sliceline.orders.order-confirmed.v"}]}, []),
        ({"type": [{"anything-but": {"prefix": "sliceline.kitchen."}}]}, []),
        ({"type": [{"exists": True}], "dataschema": [{"prefix": "https://"}]}, []),
        ({"data": {"type": [V1]}, "source": ["/sliceline/orders"]}, []),
    ],
    ids=str,
)
def test_a_pattern_asks_for_a_version_that_it_names_and_for_none_when_it_takes_whatever_comes(
    pattern: dict[str, object], versions: list[str]
) -> None:
    one = Asking("rule one", "rule one of the router", pattern)
    assert [version for version in (V1, V2) if one.asks_for(version)] == versions


def test_what_goes_for_another_event_is_named_where_that_would_not_come_instead(folder: Path) -> None:
    old = write(folder, 1, **on_its_way_out(use="sliceline.bakery.bread-baked.v1"))
    prefixes = ("sliceline.bakery.", "sliceline.bakery.loaf-")
    assert [Asking("", "", {"type": [{"prefix": each}]}).asks_for(old) for each in prefixes] == [False, True]


def test_a_rule_or_an_endpoint_that_rests_or_has_no_pattern_asks_for_nothing() -> None:
    rules: list[dict[str, Any]] = [{"name": name, "enabled": name == "on", "pattern": BAKED} for name in ("on", "off")]
    assert [each.name for each in asking("router", rules)] == ["rule on"]
    endpoints: list[dict[str, Any]] = [
        {"id": "a", "status": "active", "pattern": BAKED},
        {"id": "b", "status": "disabled", "pattern": BAKED},
        {"id": "c", "status": "active", "pattern": None},
    ]
    assert [each.name for each in asking("webhooks", endpoints)] == ["endpoint a"]


def test_a_version_is_retired_when_its_time_has_come_and_nobody_reads_it(folder: Path) -> None:
    old = write(folder, 1, **on_its_way_out())
    assert list(why_not(old, NOBODY, date(2026, 6, 30))) == []


@pytest.mark.parametrize(
    ("said", "seen", "today", "reason"),
    [
        ({}, NOBODY, LATER, "not on its way out"),
        ({"x-retired": "2026-07-01"}, NOBODY, LATER, "was retired on 2026-07-01"),
        (on_its_way_out(), NOBODY, date(2026, 6, 29), "promised until 2026-06-30"),
        (on_its_way_out(), None, LATER, "No shop runs here"),
        (
            on_its_way_out(),
            Seen(patterns=asking("router", [{"name": "For the press", "enabled": True, "pattern": BAKED}])),
            LATER,
            "The rule For the press of the router asks for it.",
        ),
        (
            on_its_way_out(),
            Seen(patterns=asking("webhooks", [{"id": "press", "status": "unproven", "pattern": BAKED}])),
            LATER,
            "The endpoint press of webhooks asks for it.",
        ),
        (on_its_way_out(), Seen(unasked=["router"]), LATER, "The router's rules were not asked: say --at ADDRESS"),
        (on_its_way_out(), Seen(unasked=["webhooks"]), LATER, "The endpoints of webhooks were not asked: say --at"),
        (on_its_way_out(), Seen(groups=None), LATER, "Kafka was not asked"),
        (on_its_way_out(), Seen(silent=("kitchen",)), LATER, "kitchen did not answer"),
        (
            on_its_way_out(),
            Seen(groups={"bakery.events": {"a-partner"}}),
            LATER,
            "At Kafka a-partner read bakery.events",
        ),
        (
            on_its_way_out(),
            Seen(read={"sliceline.bakery.loaf-baked.v1": {"receipts": 0}}),
            LATER,
            "receipts reads it: 0 since its process started",
        ),
    ],
)
def test_a_version_stays_while_somebody_reads_it_or_may_or_was_promised_it(
    folder: Path, said: dict[str, object], seen: Seen | None, today: date, reason: str
) -> None:
    [against] = why_not(write(folder, 1, **said), seen, today)
    assert reason in against


def test_a_version_stays_while_somebody_declares_it(folder: Path) -> None:
    old = write(folder, 1, **on_its_way_out())
    (folder.parent / "consumers" / "shop").mkdir(parents=True)
    (folder.parent / "consumers" / "shop" / "bakery.loaf-baked.v1.json").write_text("{}")
    asked = Seen(asked=frozenset({"shop"}), groups={"bakery.events": {"shop"}})
    assert list(why_not(old, asked, LATER)) == ["Declared by shop, in schemas/consumers."]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"deprecated": True}, "go together"),
        ({"x-deprecation": on_its_way_out()["x-deprecation"]}, "go together"),
        (on_its_way_out(sunset="soon"), "x-deprecation: Invalid isoformat"),
        (on_its_way_out(sunset="2025-12-31"), "it goes before it is deprecated"),
        (on_its_way_out(use="loaf-baked.v2"), "does not have the shape"),
        (on_its_way_out(whatever="else"), "unknown field"),
    ],
)
def test_the_end_of_a_version_is_told_in_full_or_not_at_all(folder: Path, said: dict[str, object], reason: str) -> None:
    with pytest.raises(BrokenSchema, match=reason):
        leaving(write(folder, 1, **said))


def test_a_version_on_its_way_out_names_one_that_is_there(folder: Path) -> None:
    old = write(folder, 1, **on_its_way_out())
    [said] = [each for each in objections.objections({}) if "instead" in each]
    assert said.endswith("says to read sliceline.bakery.loaf-baked.v2 instead, which nobody can.")
    write(folder, 2)
    assert not [each for each in objections.objections({}) if "instead" in each]
    assert contracts.deprecation(old) == Deprecation(
        "2026-01-01T00:00:00.000000Z",
        "2026-06-30T00:00:00.000000Z",
        "https://sliceline.invalid/schemas/bakery/loaf-baked.v2.json",
    )


def test_who_reads_a_version_on_its_way_out_is_told_until_when_and_what_to_read_instead(folder: Path) -> None:
    class Baked(Payload, frozen=True):
        TYPE: ClassVar[str] = write(folder, 1, **on_its_way_out())

    service = Service(name="shop", settings=SERVICES["kitchen"].settings, router=None, handlers={Baked: None})  # type: ignore[arg-type, dict-item]
    [said] = objections.departures({"shop": service})
    assert said == (
        "shop reads sliceline.bakery.loaf-baked.v1, which goes on 2026-06-30: "
        "read sliceline.bakery.loaf-baked.v2 instead. As before."
    )
    assert declaring.objections(service) == []
    write(folder, 1, **on_its_way_out(), **{"x-retired": "2026-07-01"})
    assert declaring.objections(service) == [
        "shop reads sliceline.bakery.loaf-baked.v1 (Baked), which was retired on 2026-07-01."
    ]


def test_the_command_retires_a_version_in_its_schema_and_refuses_it_a_second_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, 1, **on_its_way_out())
    monkeypatch.setattr("cli.readers.look", lambda _: NOBODY)
    done = CliRunner().invoke(app, ["contracts", "retire", "loaf-baked.v1"])
    assert (done.exit_code, "take it out of services/bakery" in done.output) == (0, True), done.output
    assert contracts.retired("sliceline.bakery.loaf-baked.v1")
    again = CliRunner().invoke(app, ["contracts", "retire", "loaf-baked.v1"])
    assert (again.exit_code, "It was retired on" in again.output) == (1, True)


def test_a_retirement_that_cannot_be_written_down_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(folder, 1, **on_its_way_out())
    (folder.parent / released.NAME).write_text("{}\n")
    monkeypatch.setattr("cli.readers.look", lambda _: NOBODY)
    done = CliRunner().invoke(app, ["contracts", "retire", "loaf-baked.v1"])
    assert (done.exit_code, "line 1: it describes no released contract" in done.output) == (1, True), done.output
    assert contracts.retired(old) is None
    with pytest.raises(BrokenLock):
        released.read()


@pytest.mark.parametrize("part", ["cli.readers._write_retired", "deployment.released.write"])
def test_a_retirement_that_was_cut_short_goes_on_at_a_second_try(
    folder: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    old = write(folder, 1, **on_its_way_out())
    released.write([Form(old, 1, Contract({}))])
    monkeypatch.setattr("cli.readers.look", lambda _: NOBODY)
    with monkeypatch.context() as without:
        without.setattr(part, lambda *_: None)
        assert CliRunner().invoke(app, ["contracts", "retire", "loaf-baked.v1"]).exit_code == 0
    assert (contracts.retired(old) is not None, released.read()[0].retired).count(True) == 1
    again = CliRunner().invoke(app, ["contracts", "retire", "loaf-baked.v1"])
    assert again.exit_code == 0, again.output
    assert contracts.retired(old)
    assert released.read()[0].retired
    third = CliRunner().invoke(app, ["contracts", "retire", "loaf-baked.v1"])
    assert (third.exit_code, "It was retired on" in third.output) == (1, True)


@pytest.mark.parametrize("word", ["order-confirmed", "order-eaten", ""])
def test_what_names_no_one_version_is_not_retired(word: str) -> None:
    done = CliRunner().invoke(app, ["contracts", "retire", *([word] if word else [])])
    assert done.exit_code == 2, done.output


def test_readers_says_so_where_no_shop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.readers.find", lambda: None)
    done = CliRunner().invoke(app, ["contracts", "readers", "order-confirmed"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["orders.order-confirmed.v1", "orders.order-confirmed.v2"]
    assert "until 2027-05-31" in lines[1]
    assert "kitchen" in lines[2]
    assert "No shop runs here, so nobody was asked" in done.output


def test_readers_asks_whoever_is_elsewhere_and_names_who_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.readers.find", lambda: None)
    done = CliRunner().invoke(app, ["contracts", "readers", "order-confirmed", "--at", "http://127.0.0.1:9"])
    assert (done.exit_code, "did not answer: http://127.0.0.1:9." in done.output) == (0, True), done.output
    assert "The router's rules were not asked: say --at ADDRESS of it." in done.output
    assert "The endpoints of webhooks were not asked: say --at ADDRESS of it." in done.output
