"""All services together: every event has one writer, and its readers and the written catalogue are as the code says."""

import json
from pathlib import Path

import pytest

from backbone.events.compatibility import takes_all
from backbone.events.contracts import SCHEMAS, retired, schema_of, schemas_of
from backbone.events.envelope import parse_type
from deployment.catalogue import CONSUMERS, EVENTS, committed, flows, generated, readers, views
from services import CATALOGUE
from tests.all_services import SERVICES

PUBLISHED = {payload.TYPE for service in SERVICES.values() for payload in service.publishes}
REMEDY = "Run ./sliceline contracts and commit what it writes."


def named(path: Path) -> str:
    return str(path.relative_to(SCHEMAS))


def test_the_catalogue_lists_every_service_under_its_own_name() -> None:
    folders = {path.parent.name for path in EVENTS.parent.parent.glob("services/*/service.py")}
    assert set(CATALOGUE) == {service.name for service in SERVICES.values()} == folders


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_publishes_just_what_it_has_schemas_for_that_are_not_retired(name: str) -> None:
    published = [payload.TYPE for payload in SERVICES[name].publishes]
    assert sorted(published, key=parse_type) == [each for each in schemas_of(name) if not retired(each)]


@pytest.mark.parametrize(("reader", "event_type"), [(name, view.TYPE) for name, view in views(SERVICES)])
def test_whatever_is_listened_to_is_published_by_somebody_else(reader: str, event_type: str) -> None:
    """Where that is here; what one reads of a service that went has its schema still, which a start asks for."""
    writer = parse_type(event_type).service
    assert event_type in PUBLISHED or writer not in SERVICES
    assert writer != reader


def test_what_is_committed_is_what_the_code_says() -> None:
    files = generated(SERVICES)
    assert committed() == files.keys(), REMEDY
    assert [path.name for path, text in files.items() if path.read_text() != text] == [], REMEDY


@pytest.mark.parametrize("contract", sorted(CONSUMERS.rglob("*.json")), ids=named)
def test_a_reader_takes_whatever_its_writer_may_say(contract: Path) -> None:
    """From the files alone, as a writer asks before a change: the schemas are in the reader's folder, not its code."""
    assert takes_all(json.loads(contract.read_bytes()), schema_of(f"sliceline.{contract.stem}"))


def test_the_catalogue_tells_of_an_event_who_reads_it_and_what_is_in_it() -> None:
    section = EVENTS.read_text().split("### order-completed.v1\n")[1].split("###")[0]
    known = readers(SERVICES)["sliceline.orders.order-completed.v1"]
    assert {"inventory", "loyalty"} <= set(known)
    assert f"Read by {', '.join(known)}.\n" in section
    assert "total: {amount: integer, currency: string}" in section


def test_the_flow_has_one_arrow_for_each_pair_that_talks() -> None:
    arrows = flows(SERVICES)
    assert arrows["orders", "loyalty"] == ["order-completed"]
    assert arrows["kitchen", "delivery"] == ["pizza-baked"]
    assert ("notifications", "orders") not in arrows
