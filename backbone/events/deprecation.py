"""Says of an event that its type is on its way out, in the words of CloudEvents' extension for that.

The contract says so, in `deprecated` and `x-deprecation`; the relay writes it into each event of the type, and whoever
reads one may see when the type goes and where to go on.
https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/deprecation.md
"""

import msgspec

ATTRIBUTES = ("deprecated", "deprecationfrom", "deprecationsunset", "deprecationmigration")


class Deprecation(msgspec.Struct, frozen=True):
    """Holds since when a type is deprecated, until when it is published, and a URI that says what to read instead."""

    since: str | None = None
    sunset: str | None = None
    migration: str | None = None

    def attributes(self) -> dict[str, str | bool]:
        """Return the attributes, as CloudEvents' JSON format has them."""
        told = (self.since, self.sunset, self.migration)
        named = {name: value for name, value in zip(ATTRIBUTES[1:], told, strict=True) if value is not None}
        return {"deprecated": True, **named}

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the attributes as headers of a Kafka record."""
        told = {**self.attributes(), "deprecated": "true"}
        return [(f"ce_{name}", str(value).encode()) for name, value in told.items()]


class Leaving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Is what a contract says in `x-deprecation`: dates, the type to read instead, and how that one differs."""

    since: str = msgspec.field(name="from")
    sunset: str
    use: str
    how: str
