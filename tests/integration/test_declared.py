"""Every TYPE that a service reads or publishes is checked, and `./sliceline contracts` tells all that is wrong."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backbone.declared import objections
from backbone.events import contracts
from cli.__main__ import app
from deployment import catalogue, permissions
from services import CATALOGUE
from tests.throwaway import ThrowAway, throwaway

__all__ = ["throwaway"]

CONFIRMED = "sliceline.orders.order-confirmed.v2"
CANCELLED = "sliceline.orders.order-cancelled.v1"
HINT = f"Did you mean {CONFIRMED}?"
OWN = "sliceline.{name}.regretted.v1"

WRONG: dict[str, tuple[dict[str, str], str]] = {
    "a typo": (
        {"ReadIt": "sliceline.orders.order-confirmd.v2"},
        f"{{name}} reads sliceline.orders.order-confirmd.v2 (ReadIt), which no schema describes. {HINT}",
    ),
    "a version that is not there": (
        {"ReadIt": "sliceline.orders.order-confirmed.v3"},
        f"{{name}} reads sliceline.orders.order-confirmed.v3 (ReadIt), which no schema describes. {HINT}",
    ),
    "a service's name misspelt": (
        {"ReadIt": "sliceline.order.order-cancelled.v1"},
        f"reads sliceline.order.order-cancelled.v1 (ReadIt), which no schema describes. Did you mean {CANCELLED}?",
    ),
    "a shape that is none": (
        {"ReadIt": "sliceline.orders.order_cancelled.1"},
        "which does not have the shape sliceline.<service>.<event>.v<N>. Did you mean",
    ),
    "something like nothing there is": (
        {"ReadIt": "sliceline.weather.rain.v1"},
        "which no schema describes. Write it to schemas/<service>/<event>.v<N>.json, or mend the TYPE.",
    ),
    "no type": ({"ReadIt": ""}, "{name} reads ReadIt, which has no TYPE."),
    "one type read twice": (
        {"ReadIt": CANCELLED, "ReadAgain": CANCELLED},
        f"{{name}} reads {CANCELLED} twice.",
    ),
    "a field that does not exist": (
        {"ReadIt": f"{CANCELLED}\nwhen: str"},
        "{name} needs when in orders.order-cancelled.v1; the schema has no such field",
    ),
    "a field of another type": (
        {"ReadIt": f"{CANCELLED}\nreason: int"},
        "{name} reads reason as integer in orders.order-cancelled.v1; the schema says string",
    ),
    "a publication without a schema": (
        {"SaidIt": OWN},
        "{name} publishes sliceline.{name}.regretted.v1 (SaidIt), which no schema describes.",
    ),
    "a publication of another service's": (
        {"SaidIt": CANCELLED},
        f"{{name}} publishes {CANCELLED} (SaidIt), which only orders may.",
    ),
    "a publication that is not listed and has no schema": (
        {"Kept": OWN},
        "{name} declares sliceline.{name}.regretted.v1 (Kept), which no schema describes.",
    ),
}


@pytest.mark.parametrize(("payloads", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_read_or_published_is_told_in_one_sentence(
    throwaway: ThrowAway, payloads: dict[str, str], said: str
) -> None:
    throwaway.write(**payloads)
    [told] = objections(throwaway.service())
    assert said.format(name=throwaway.name) in told


def test_a_service_whose_types_are_sound_is_not_objected_to(throwaway: ThrowAway) -> None:
    throwaway.write(ReadIt=f"{CANCELLED}\nreason: str", ReadToo=f"{CONFIRMED}\norder: str", SaidIt=OWN)
    own_schema(throwaway)
    assert objections(throwaway.service()) == []


def own_schema(throwaway: ThrowAway) -> None:
    (throwaway.schemas / throwaway.name).mkdir()
    (throwaway.schemas / throwaway.name / "regretted.v1.json").write_text('{"type": "object"}')


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "unexpected end of data"),
        ("[]", "it is no object"),
        ('{"type": "strin"}', "type: the value is not valid"),
        ('{"$ref": "#/$defs/order"}', "does not exist"),
        ('{"properties": {"at": {"format": "moment"}}}', "properties.at.format: Unknown format: 'moment'"),
    ],
)
def test_a_schema_that_is_none_is_named_with_its_file_and_the_place(
    throwaway: ThrowAway, content: str, reason: str
) -> None:
    (throwaway.schemas / "orders" / "order-cancelled.v1.json").write_text(content)
    throwaway.write(ReadIt=CANCELLED)
    [told] = objections(throwaway.service())
    assert told.startswith(
        f"{throwaway.name} reads {CANCELLED} (ReadIt). Its schema, schemas/orders/order-cancelled.v1.json"
    )
    assert reason in told


def test_what_a_reader_loses_is_told_by_field_reader_and_event(throwaway: ThrowAway) -> None:
    definition = json.loads((throwaway.schemas / "orders" / "order-cancelled.v1.json").read_bytes())["$defs"]
    definition["customer"]["required"].remove("id")
    throwaway.spoil("orders/order-cancelled.v1.json", **{"$defs": definition})
    (throwaway.folder / throwaway.name / "views.py").write_text(
        "import msgspec\nclass Customer(msgspec.Struct):\n    id: str\n"
    )
    throwaway.write(
        ReadIt=f"{CANCELLED}\nfrom services.{throwaway.name}.views import Customer\ncustomer: Customer",
    )
    assert objections(throwaway.service()) == [
        f"{throwaway.name} needs customer.id in orders.order-cancelled.v1; the schema lets it be missing"
    ]


@pytest.fixture
def written(throwaway: ThrowAway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command writes, and the throw-away service in the catalogue beside the real ones."""
    monkeypatch.setitem(CATALOGUE, throwaway.name, 1)
    monkeypatch.setattr(catalogue, "CONSUMERS", throwaway.schemas / "consumers")
    monkeypatch.setattr(catalogue, "EVENTS", tmp_path / "events.md")
    monkeypatch.setattr(catalogue, "RIGHTS", tmp_path / "rights.json")
    monkeypatch.setattr(permissions, "PERMISSIONS", tmp_path / "permissions.md")
    return tmp_path / "events.md"


def contracts_command() -> tuple[int, list[str]]:
    done = CliRunner().invoke(app, ["contracts"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.splitlines()


def test_contracts_tells_all_that_is_wrong_at_once_and_writes_nothing(throwaway: ThrowAway, written: Path) -> None:
    throwaway.write(ReadIt="sliceline.orders.order-confirmd.v2", ReadToo=f"{CANCELLED}\nwhen: str", SaidIt=OWN)
    throwaway.spoil("orders/order-delayed.v1.json", description=None)
    throwaway.spoil("orders/order-completed.v1.json", title="order completed")
    (throwaway.schemas / "kitchen" / "pizza-baked.v1.json").write_text("{")
    (throwaway.schemas / "orders" / "order_eaten.json").write_text("{}")
    samples = throwaway.schemas / "orders" / "samples"
    (samples / "order-rejected.v1.json").unlink()
    (samples / "order-placed.v1.json").rename(samples / "invalid" / "order-placed.v1.fits.json")
    (samples / "order-placed.v1.json").write_text("{}")
    (samples / "order-eaten.v1.json").write_text("{}")
    code, said = contracts_command()
    assert code == 1
    assert not written.exists()
    for beginning in (
        f"{throwaway.name} reads sliceline.orders.order-confirmd.v2",
        f"{throwaway.name} needs when in orders.order-cancelled.v1; the schema has no such field",
        f"{throwaway.name} publishes sliceline.{throwaway.name}.regretted.v1",
        'schemas/orders/order-delayed.v1.json has no "description"',
        'schemas/orders/order-completed.v1.json should say "title"',
        "Its schema, schemas/kitchen/pizza-baked.v1.json, is broken: unexpected end of data",
        "schemas/orders/order_eaten.json is not named <event>.v<N>.json",
        "schemas/orders/samples/order-rejected.v1.json is missing",
        "schemas/orders/samples/order-placed.v1.json is no sample of sliceline.orders.order-placed.v1: data",
        "schemas/orders/samples/invalid/order-placed.v1.fits.json should break the contract",
        "schemas/orders/samples/order-eaten.v1.json is a sample of sliceline.orders.order-eaten.v1, which no",
    ):
        assert any(beginning in line for line in said), beginning


@pytest.mark.parametrize(
    ("spoil", "beginning"),
    [
        (lambda it: (it.schemas / "orders" / "order-cancelled.v1.json").unlink(), "which no schema describes"),
        (lambda it: it.spoil("orders/order-cancelled.v1.json", required=None), "the schema lets it be missing"),
        (lambda it: it.spoil("orders/order-cancelled.v1.json", properties=None), 'has no "properties"'),
        (
            lambda it: (it.folder / it.name / "service.py").write_text("import tofu_of_nowhere"),
            "cannot be loaded: Module",
        ),
        (lambda it: (it.folder / it.name / "service.py").unlink(), "service.py cannot be loaded: ModuleNotFound"),
    ],
    ids=["no schema", "nothing required", "no properties", "a service that does not load", "a service without a file"],
)
def test_contracts_fails_in_sentences(throwaway: ThrowAway, written: Path, spoil: object, beginning: str) -> None:
    throwaway.write(ReadIt=CANCELLED)
    assert callable(spoil)
    spoil(throwaway)
    code, said = contracts_command()
    assert code == 1
    assert any(beginning in line for line in said), said


def test_contracts_objects_to_what_is_published_and_not_listed(throwaway: ThrowAway, written: Path) -> None:
    throwaway.write(Kept=OWN)
    own_schema(throwaway)
    _, said = contracts_command()
    own = OWN.format(name=throwaway.name)
    assert f"{throwaway.name} has a schema for {own} and does not list it in `publishes`." in said


def test_contracts_writes_down_a_listener_whose_types_are_sound(throwaway: ThrowAway, written: Path) -> None:
    throwaway.write(ReadIt=f"{CANCELLED}\nreason: str")
    assert contracts_command()[0] == 0
    assert throwaway.name in written.read_text()
    assert (contracts.SCHEMAS / "consumers" / throwaway.name / "orders.order-cancelled.v1.json").exists()
