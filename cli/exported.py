"""Says which Kafka is exported; run by `./sliceline` before it installs what exporting takes beside the rest."""

from cli.running import running_shop
from local.layout import layout_for


def kafka() -> str:
    """Return the address of the Kafka to read; end the command when there is none."""
    named = layout_for(0)
    return named.kafka or layout_for(running_shop().port_offset).bootstrap()


if __name__ == "__main__":
    kafka()
