"""buses.toml: what it may say, what ours says, and which topics follow from it."""

from datetime import timedelta

import pytest

from backbone.events import buses
from backbone.events.buses import BadBuses, NotAllowed, UnknownBus
from backbone.events.topics import DEFAULT_BUS
from backbone.publishing.making import settings
from deployment.topics import every_topic
from services import CATALOGUE

DEFAULT = """
[default]
topics = "*.events"
partitions = 12
retention_days = 7
publish = ["*"]
read = ["*"]
"""
BOOKS = """
[books]
topics = "books.events"
partitions = 3
retention_days = 1
publish = ["router"]
read = ["orders", "alerts"]
"""


def test_a_bus_says_how_its_topics_are_kept_and_who_may_use_it() -> None:
    books = buses.parse(DEFAULT + BOOKS)["books"]
    assert (books.name, books.topic("router"), books.partitions) == ("books", "books.events", 3)
    assert books.retention == timedelta(days=1)
    assert [books.lets_publish(each) for each in ("router", "orders")] == [True, False]
    assert [books.lets_read(each) for each in ("orders", "router")] == [True, False]


def test_on_the_default_bus_each_service_has_a_topic_of_its_own() -> None:
    default = buses.parse(DEFAULT)[DEFAULT_BUS]
    assert default.topics_of(["orders", "alerts"]) == ["orders.events", "alerts.events"]


def test_a_bus_whose_name_has_dots_needs_no_quotes() -> None:
    found = buses.parse(DEFAULT + BOOKS.replace("[books]", "[partner.acme]"))
    assert list(found) == [DEFAULT_BUS, "partner.acme"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"there has to be a bus \[default\]"),
        (DEFAULT.replace("*.events", "all.events"), r"there has to be a bus \[default\]"),
        ("[default", "Expected"),
        (DEFAULT.replace("partitions = 12", ""), r"missing required field `partitions` - at `\$\[\.\.\.\]`"),
        (DEFAULT.replace("12", "0"), "partitions"),
        (DEFAULT.replace("7", "0"), "retention_days"),
        (DEFAULT + 'kept = "long"', "unknown field `kept`"),
        (DEFAULT + BOOKS.replace("books.events", "books"), "books.topics is 'books'; a topic is called like books.ev"),
        (DEFAULT + BOOKS.replace("books.events", "*.events"), "which default has already"),
        (DEFAULT + BOOKS.replace("[books]", '["books.*"]'), "with a star if the bus has one"),
        (DEFAULT + BOOKS.replace('"books.ev', '"books.*.ev'), "with a star if the bus has one"),
        (DEFAULT + BOOKS.replace("[books]", '["The Books"]'), "'The Books' is no name for a bus"),
    ],
)
def test_what_cannot_be_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(BadBuses, match=said):
        buses.parse(text)


def test_a_bus_that_is_misspelt_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownBus, match=r"buses.toml has no bus acounting\. Did you mean accounting\?"):
        buses.find("acounting")


def test_who_may_not_publish_is_told_who_may() -> None:
    with pytest.raises(NotAllowed, match=r"orders may not: .* lets router publish to accounting"):
        buses.publishing("accounting", "orders")


@pytest.mark.parametrize(
    ("topic", "bus"), [("orders.events", DEFAULT_BUS), ("accounting.events", "accounting"), ("elsewhere", None)]
)
def test_a_topic_belongs_to_one_bus(topic: str, bus: str | None) -> None:
    found = buses.bus_of(topic)
    assert (found and found.name) == bus


MANY = """
["partner.*"]
topics = "partner.*.events"
partitions = 3
retention_days = 1
publish = ["partners"]
read = ["router"]
"""


def test_a_bus_may_stand_for_all_that_are_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    known = buses.parse(DEFAULT + MANY + BOOKS.replace("[books]", "[partner.books]"))
    monkeypatch.setattr(buses, "known", lambda: known)
    acme = buses.find("partner.acme")
    assert (acme.name, acme.topic("partners"), acme.publish) == ("partner.acme", "partner.acme.events", ("partners",))
    assert buses.bus_of("partner.acme.events") == acme
    assert (acme.is_made_when_needed, buses.find("partner.books").is_made_when_needed) == (True, False)
    assert every_topic(["partners"]).keys() == {"partners.events", "books.events"}


@pytest.mark.parametrize(
    "name", ["partner.", "partner", "partner.a.b", "partner.a_b", "partner.*", f"partner.{'x' * 65}"]
)
def test_what_kafka_could_take_for_another_topic_is_no_bus(name: str) -> None:
    assert not buses.is_known(name)


@pytest.mark.parametrize(
    ("topic", "is_read"), [("partner.acme.events", True), ("orders.events", True), ("alerts.events", False)]
)
def test_who_reads_what_stands_for_many_reads_each_of_them(topic: str, is_read: bool) -> None:
    assert buses.reads(["orders.events", "partner.*.events"], topic) == is_read


def test_who_may_read_a_bus_finds_all_its_topics() -> None:
    assert buses.readable("router", ["orders", "partners"]) == [
        "orders.events",
        "partners.events",
        "accounting.events",
        "partner.*.events",
    ]
    assert "partner.*.events" not in buses.readable("kitchen", ["orders"])


def test_our_buses_name_only_services_that_there_are() -> None:
    named = {each for bus in buses.known().values() for each in (*bus.publish, *bus.read)}
    assert named - {"*"} <= set(CATALOGUE)


def test_no_service_has_the_topic_of_a_named_bus_for_its_own() -> None:
    named = {bus.topics for bus in buses.known().values() if bus.name != DEFAULT_BUS}
    assert named.isdisjoint(f"{service}.events" for service in CATALOGUE)


def test_every_topic_is_made_as_its_bus_says(monkeypatch: pytest.MonkeyPatch) -> None:
    known = buses.parse(DEFAULT + BOOKS)
    monkeypatch.setattr(buses, "known", lambda: known)
    assert {topic: bus.name for topic, bus in every_topic(["partners", "router"]).items()} == {
        "partners.events": DEFAULT_BUS,
        "router.events": DEFAULT_BUS,
        "books.events": "books",
    }
    assert settings(known["books"], 1)["retention.ms"] == "86400000"
