"""The catalogue's pages and its AsyncAPI document, made from the real services and contracts."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from backbone.events import buses
from backbone.events.contracts import schema_of
from backbone.events.envelope import parse_type
from backbone.events.payload import Unread
from backbone.events.wording import type_in_words
from cli.__main__ import app
from deployment.catalogue import flows, readers
from deployment.pages.asyncapi import document
from deployment.pages.build import build, files, for_eventcatalog
from deployment.pages.contents import Contents
from deployment.pages.fresh import LAST, is_fresh
from deployment.pages.markup import tag
from deployment.pages.pages import pages
from tests.all_services import SERVICES

DOCUMENT = json.loads(files(SERVICES)["asyncapi.json"])
FILES = files(SERVICES)
PAGES = sorted(name for name in FILES if name.endswith(".html"))
PUBLISHED = sorted((each.TYPE for service in SERVICES.values() for each in service.publishes), key=parse_type)
VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Reads a page: its text, its links, and whether each element that opens also closes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.said: list[str] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(FILES[name])
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for key, value in attrs if key in ("href", "src") and value]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.said))


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [each for value in part.values() for each in references(value)]
    return [each for value in part for each in references(value)] if isinstance(part, list) else []


def test_the_document_refers_only_to_what_is_in_it() -> None:
    found = references(DOCUMENT)
    for reference in found:
        at = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            at = at[name]
    assert len(found) > len(PUBLISHED)


def test_every_published_type_is_in_the_channel_of_its_topic_with_its_contract_and_samples() -> None:
    addresses = {channel["address"]: channel for channel in DOCUMENT["channels"].values()}
    on = {each.TYPE: each.BUS for service in SERVICES.values() for each in service.publishes}
    for event_type in PUBLISHED:
        key = event_type.removeprefix("sliceline.")
        message = DOCUMENT["components"]["messages"][key]
        assert key in addresses[buses.find(on[event_type]).topic(parse_type(event_type).service)]["messages"]
        assert message["payload"]["properties"].keys() == schema_of(event_type)["properties"].keys()
        assert message["examples"][0]["name"] == "golden"
    assert len(DOCUMENT["components"]["messages"]) == len(PUBLISHED)


def test_who_receives_what_is_as_the_handlers_say() -> None:
    contents = Contents(DOCUMENT)
    assert {event.message["name"]: event.readers for event in contents.events.values() if event.readers} == readers(
        SERVICES
    )
    assert contents.edges.keys() == flows(SERVICES).keys()
    everything = {name: {view for view in each.handlers if issubclass(view, Unread)} for name, each in SERVICES.items()}
    assert {name: len(channels) for name, channels in contents.hearing.items()} == {
        name: len(views) for name, views in everything.items() if views
    }


def test_the_bus_of_partners_is_a_channel_with_a_name_to_fill_in() -> None:
    channel = DOCUMENT["channels"]["partner.each"]
    assert (channel["address"], set(channel["messages"])) == ("partner.{name}.events", {"partners.event-received.v1"})
    assert DOCUMENT["operations"]["partners.send.partner.each"]["action"] == "send"


@pytest.mark.parametrize("name", PAGES)
def test_every_link_of_a_page_leads_to_a_file_that_is_there(name: str) -> None:
    page = Page(name)
    inside = [each for each in page.links if not each.startswith("mailto:")]
    assert [each for each in inside if normpath(join(dirname(name), each.partition("#")[0])) not in FILES] == []
    assert page.tags.count("h1") == 1


def test_an_events_page_tells_owner_readers_fields_with_meaning_and_unit_example_and_versions() -> None:
    page = Page("events/orders.order-confirmed.v2.html")
    for said in (
        *("orders@sliceline.example", "kitchen", "notifications", "ledger", "orders.events"),
        *("lines[].unit_price.amount", "In minor units of the currency", "minor units of the currency beside it"),
        *('"fulfilment": "delivery"', "inventory.stock-reserved", "It does not come any more after"),
    ):
        assert said in page.text
    assert "../events/orders.order-confirmed.v1.html" in page.links
    assert "../schemas/orders/order-confirmed.v2.json" in page.links


def test_what_follows_on_an_event_is_told_on_its_page() -> None:
    assert "../events/orders.order-confirmed.v2.html" in Page("events/payments.payment-received.v1.html").links


def test_a_version_on_its_way_out_is_marked_and_says_what_to_read_instead() -> None:
    described = document(SERVICES)
    described["components"]["messages"]["orders.order-confirmed.v1"]["x-deprecation"] = {
        "since": "2026-11-27",
        "sunset": "2027-05-31",
        "use": "sliceline.orders.order-confirmed.v2",
        "how": "Its total has a currency.",
    }
    found = pages(described)
    said = found["events/orders.order-confirmed.v1.html"]
    assert "Published until 2027-05-31: read <a" in said
    assert "Its total has a currency." in said
    assert "on its way out" in found["index.html"]


def test_the_map_has_a_box_for_each_service_and_an_arrow_for_each_pair_that_talks() -> None:
    svg = ElementTree.fromstring(FILES["map.svg"])  # noqa: S314 (our own drawing)
    space = "{http://www.w3.org/2000/svg}"
    names = {each.text for each in svg.iter(f"{space}text") if each.get("class") == "name"}
    assert names == set(SERVICES)
    ways = {tuple((each.get("data-way") or "").split()) for each in svg.iter(f"{space}g")}
    assert ways == flows(SERVICES).keys()


def test_a_type_is_told_in_words() -> None:
    assert type_in_words({"type": "string", "minLength": 1, "maxLength": 64}) == "text, 1 to 64 characters"
    assert type_in_words({"type": ["string", "null"], "maxLength": 500}) == "text or null, up to 500 characters"
    assert type_in_words({"type": "integer", "minimum": 0, "maximum": 2**53 - 1}) == "whole number, from 0"
    assert type_in_words({"enum": ["low", "out"]}) == '"low" or "out"'


def test_no_text_becomes_markup() -> None:
    assert tag("p", "<b>&", title='"') == '<p title="&quot;">&lt;b&gt;&amp;</p>'


def test_a_build_takes_away_pages_of_events_that_are_gone_and_nothing_else(tmp_path: Path) -> None:
    build(SERVICES, tmp_path)
    stale, foreign = tmp_path / "events" / "orders.gone.v1.html", tmp_path / "note.txt"
    stale.touch()
    foreign.touch()
    assert build(SERVICES, tmp_path) == len(FILES)
    assert {each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*") if each.is_file()} == {
        *FILES,
        "note.txt",
    }


@pytest.mark.parametrize(
    "asyncapi", [None, "{", "[]", '{"info": 3}', '{"asyncapi": "3.0.0", "info": {"title": "Sliceline"}}']
)
def test_a_folder_that_holds_something_else_is_left_as_it_is(tmp_path: Path, asyncapi: str | None) -> None:
    """As the project's own does, which has folders of the same names."""
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "service.py").touch()
    if asyncapi is not None:
        (tmp_path / LAST).write_text(asyncapi)
    before = {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")}
    done = CliRunner().invoke(app, ["contracts", "catalogue", str(tmp_path)])
    assert done.exit_code == 1
    assert "Name a folder that is empty" in done.stderr
    assert {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("action", ["catalogue", "eventcatalog"])
def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, action: str) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(app, ["contracts", action, str(tmp_path / "file" / "folder")])
    assert (done.exit_code, "cannot be written: Not a directory." in done.stderr) == (1, True), done.stderr


def test_a_folder_is_fresh_until_something_it_is_made_from_is_newer(tmp_path: Path) -> None:
    folder, source = tmp_path / "docs", tmp_path / "schemas" / "orders" / "order-placed.v1.json"
    for path in (source, tmp_path / "buses.toml", folder / LAST):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    os.utime(source, (0, 0))
    os.utime(tmp_path / "buses.toml", (0, 0))
    assert is_fresh(folder, tmp_path)
    os.utime(source)
    os.utime(folder / LAST, (1, 1))
    assert not is_fresh(folder, tmp_path)
    (folder / LAST).unlink()
    assert not is_fresh(folder, tmp_path)


def test_an_eventcatalog_has_each_event_within_its_service_and_older_versions_within_it() -> None:
    found = for_eventcatalog(SERVICES)
    newest = found["services/orders/events/order-confirmed/index.mdx"]
    older = found["services/orders/events/order-confirmed/versioned/1.0.0/index.mdx"]
    assert 'id: "orders.order-confirmed"\n' in newest
    assert 'version: "2.0.0"\n' in newest
    assert '"date": "2027-05-31"' in older
    assert json.loads(found["services/orders/events/order-confirmed/schema.json"])["title"].endswith(".v2")
    kitchen = found["services/kitchen/index.mdx"]
    wanted = {"id": "orders.order-confirmed", "version": "2.0.0", "from": [{"id": "orders.events"}]}
    assert json.dumps(wanted) in kitchen
    assert 'address: "orders.events"' in found["channels/orders.events/index.mdx"]
    assert found["teams/orders.mdx"].startswith('---\nid: "orders"\n')


def test_no_description_becomes_code_in_an_eventcatalog() -> None:
    pages = {name: text for name, text in for_eventcatalog(SERVICES).items() if name.endswith("/index.mdx")}
    prose = [
        re.sub(
            r"```.*?```|<(NodeGraph|SchemaViewer|ChannelInformation)[^>]*/>", "", text.split("---\n", 2)[2], flags=re.S
        )
        for text in pages.values()
    ]
    assert [each for each in prose if re.search(r"(?<!\\)[{}<>]", each)] == []
    assert len(prose) > len(PUBLISHED)
