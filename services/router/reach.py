"""Knows how far the router reaches: the topics it reads and the buses it may publish to, as buses.toml has them."""

from backbone.events import buses
from backbone.events.topics import DEFAULT_BUS
from services import CATALOGUE
from services.router.decisions import Reach

_NAME = "router"
OWN_SOURCE = f"/sliceline/{_NAME}"


class _Reach(Reach, frozen=True):
    """Asks buses.toml, where one bus may stand for many: of those each has to be one that there can be."""

    def may_look_at(self, bus: str) -> bool:
        return buses.is_known(bus) and buses.find(bus).lets_read(_NAME)

    def may_put_on(self, bus: str) -> bool:
        return buses.is_known(bus) and buses.find(bus).lets_publish(_NAME)


def reach() -> Reach:
    """Return the buses that rules may be of, and those that they may put events on."""
    known = buses.known().values()
    return _Reach(
        looks_at=frozenset(bus.name for bus in known if bus.lets_read(_NAME)),
        puts_on=frozenset(bus.name for bus in known if bus.lets_publish(_NAME)),
    )


def topics() -> list[str]:
    """List the topics that the router reads: all it may, but what it says itself on the default bus."""
    own = buses.topic_named(_NAME)
    return [topic for topic in buses.readable(_NAME, CATALOGUE) if topic != own]


def bus_named(topic: str) -> str:
    """Name the bus of a topic that is read."""
    bus = buses.bus_of(topic)
    return bus.name if bus else DEFAULT_BUS
