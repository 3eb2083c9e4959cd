"""Runs a release of the listener beside a running shop."""

import os
from pathlib import Path

from backbone import process
from backbone.service import Service
from backbone.storage.migrations import upgrade
from examples.fulfilment.__main__ import database, enter, find_shop
from examples.receipts.mailing import Settings

PORT = "8101"
MIGRATIONS = Path(__file__).parent / "migrations"


def run(service: Service[Settings]) -> None:
    """Serve until Ctrl-C, on the shop's Kafka and a Postgres of its own unless SLICELINE_… says otherwise."""
    enter(find_shop(PORT, service.name), service)
    with database(service.name) as url:
        os.environ["SLICELINE_DATABASE_URL"] = url
        upgrade(service.name, url, MIGRATIONS)
        process.run(service)
