"""Says which Kafka is exported; run by `./sliceline` before it installs what exporting takes beside the rest."""

from backbone.values.brokers import Brokers
from cli.running import kafka_of, running_shop
from local.layout import layout_for


def kafka() -> Brokers:
    """Return the Kafka to read; end the command when there is none."""
    named = layout_for(0)
    return named.kafka or kafka_of(running_shop())


if __name__ == "__main__":
    kafka()
