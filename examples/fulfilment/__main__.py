"""Runs the partner beside a running shop: `.venv/bin/python -m examples.fulfilment`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backbone.process import run
from backbone.storage.migrations import upgrade
from examples.fulfilment.listener import SERVICE
from local import HOME, postgres, state
from local.layout import layout_for

PORT = "8100"
MIGRATIONS = Path(__file__).parent / "migrations"


def main() -> None:
    """Serve until Ctrl-C, on the Kafka of the shop unless SLICELINE_KAFKA says otherwise."""
    find_shop(PORT)
    with database(SERVICE.name) as url:
        os.environ["SLICELINE_DATABASE_URL"] = url
        upgrade(SERVICE.name, url, MIGRATIONS)
        run(SERVICE)


def find_shop(port: str) -> None:
    """Find the shop that runs in this folder, on whatever ports, else where one usually is; what was told holds."""
    shop = state.read(HOME) if state.is_running(HOME) else None
    layout = layout_for(shop.port_offset if shop else 0)
    os.environ.setdefault("SLICELINE_PORT", port)
    os.environ.setdefault("SLICELINE_KAFKA", layout.bootstrap())
    os.environ.setdefault("SLICELINE_SERVICES", f"orders={layout.url('orders')}")
    if (key := HOME / "master-key").exists():
        os.environ.setdefault("SLICELINE_MASTER_KEY_FILE", str(key))


@contextmanager
def database(name: str) -> Iterator[str]:
    """Give the address of a partner's database: the one it was told of, else a Postgres of its own."""
    if told := os.environ.get("SLICELINE_DATABASE_URL"):
        yield told
        return
    server = postgres.start(HOME / name)
    try:
        yield server.url
    finally:
        server.stop()


if __name__ == "__main__":
    main()
