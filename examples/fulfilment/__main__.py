"""Runs the partner beside a running shop: `.venv/bin/python -m examples.fulfilment`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backbone.process import run
from backbone.storage.migrations import upgrade
from examples.fulfilment.listener import SERVICE
from local import HOME, postgres

PORT = "8100"
MIGRATIONS = Path(__file__).parent / "migrations"


def main() -> None:
    """Serve until Ctrl-C, on Kafka as the shop has it unless SLICELINE_KAFKA says otherwise."""
    os.environ.setdefault("SLICELINE_PORT", PORT)
    with _database() as url:
        os.environ["SLICELINE_DATABASE_URL"] = url
        upgrade(SERVICE.name, url, MIGRATIONS)
        run(SERVICE)


@contextmanager
def _database() -> Iterator[str]:
    """Give the address of the partner's database: the one it was told of, else a Postgres of its own."""
    if told := os.environ.get("SLICELINE_DATABASE_URL"):
        yield told
        return
    server = postgres.start(HOME / "fulfilment")
    try:
        yield server.url
    finally:
        server.stop()


if __name__ == "__main__":
    main()
