"""Runs the partner beside a running shop: `.venv/bin/python -m examples.fulfilment`."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backbone.consuming.handlers import topics_of
from backbone.process import run
from backbone.service import Service
from backbone.storage.migrations import upgrade
from backbone.values.brokers import Brokers
from cli.running import IDENTITY, user_in_containers
from deployment import AUTH
from deployment.admitting import admit_guest
from deployment.people import CLIENTS
from deployment.wired import guest
from examples.fulfilment.listener import SERVICE
from local import HOME, postgres, state
from local.layout import Layout, layout_for
from local.state import State

PORT = "8100"
MIGRATIONS = Path(__file__).parent / "migrations"


def main() -> None:
    """Serve until Ctrl-C, on the Kafka of the shop unless SLICELINE_KAFKA says otherwise."""
    enter(find_shop(PORT, SERVICE.name), SERVICE)
    with database(SERVICE.name) as url:
        os.environ["SLICELINE_DATABASE_URL"] = url
        upgrade(SERVICE.name, url, MIGRATIONS)
        run(SERVICE)


def find_shop(port: str, name: str) -> Layout:
    """Find the shop that runs in this folder, on whatever ports, else where one usually is; what was told holds."""
    shop = state.read(HOME) if state.is_running(HOME) else None
    layout = layout_for(shop.port_offset if shop else 0)
    os.environ.setdefault("SLICELINE_PORT", port)
    os.environ.setdefault("SLICELINE_KAFKA", layout.bootstrap())
    os.environ.setdefault("SLICELINE_SERVICES", f"orders={layout.url('orders')}")
    if (key := HOME / "master-key").exists():
        os.environ.setdefault("SLICELINE_MASTER_KEY_FILE", str(key))
    _find_issuer(shop, layout, name)
    return layout


def _find_issuer(shop: State | None, layout: Layout, name: str) -> None:
    """Take the tokens that the shop takes, and show its own issuer who we are, where that knows a key of ours."""
    if shop and not (shop.issuer or layout.issuer_url or IDENTITY in shop.rows):
        os.environ.setdefault(AUTH, "off")
    elif issuer := (shop and shop.issuer) or layout.issuer():
        os.environ.setdefault("SLICELINE_ISSUER", issuer)
    if (key := HOME / IDENTITY / CLIENTS / name / "key.pem").exists():
        os.environ.setdefault("SLICELINE_IDENTITY_KEY_FILE", str(key))


def enter(shop: Layout, service: Service[Any]) -> None:
    """Have the shop's Kafka let the partner in, as a guest who reads what he handles; what was told holds."""
    if shop.kafka is None:
        os.environ.update(_admitted(shop, service).environment())


def _admitted(shop: Layout, service: Service[Any]) -> Brokers:
    user, rules = guest(service)
    if not state.is_running(HOME):  # then it is in containers
        return user_in_containers(shop, user, "deployment.guests", service.name, *topics_of(service.handlers))
    asyncio.run(admit_guest(shop.doors(), user, rules))
    return shop.brokers(user)


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
