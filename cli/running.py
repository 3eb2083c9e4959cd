"""Finds the shop to talk to: the one that `up` started here, or one in containers on the usual ports."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NoReturn

from backbone.values.brokers import Brokers
from cli.console import fail
from deployment.doors import OPERATOR, Doors
from local import HOME, ROOT, probes, state
from local.layout import Layout, layout_for
from local.state import Row
from services import CATALOGUE

# What docker-compose.yml publishes beside the services; its robot has no port, so nobody can ask it.
SERVERS = ("postgres", "kafka", "provider", "mail", "console")
IDENTITY = "identity"
"""The process that knows people, in a shop that lets nobody in without a token."""
ASK = {"postgres": probes.postgres, "kafka": probes.kafka}
READY = {"mail": "/readyz"}


@dataclass(frozen=True)
class Shop:
    """Describes a shop that runs, and its processes by name, as far as they can be seen from here."""

    phase: str
    rows: Mapping[str, Row]
    port_offset: int = 0
    in_containers: bool = False
    issuer: str | None = None
    """Who gives the tokens that let people in, where that is no provider of the shop's own; None also if unknown."""


def find() -> Shop | None:
    """Return the shop of this folder, else the one whose services answer on the usual ports, else None."""
    if state.is_running(HOME) and (now := state.read(HOME)):
        return Shop(now.phase, now.rows, now.port_offset, issuer=now.issuer)
    return _in_containers()


def running_shop() -> Shop:
    """Return the shop that runs; end the command with advice when there is none."""
    found = find()
    if found is None:
        fail("Sliceline is not running. Start it with: ./sliceline up")
    return found


def kafka_of(shop: Shop) -> Brokers:
    """Return the Kafka of a shop as the operator sees it, who is what the commands are; end the command if none can."""
    layout = layout_for(shop.port_offset)
    if not has_kafka(shop):
        fail(
            "The shop that answers here is another folder's, and so is its Kafka. Set SLICELINE_KAFKA, and "
            "SLICELINE_KAFKA_USER, SLICELINE_KAFKA_PASSWORD_FILE and SLICELINE_KAFKA_CA_FILE as that one lets you in."
        )
    return user_in_containers(layout, OPERATOR) if shop.in_containers else layout.brokers(OPERATOR)


def has_kafka(shop: Shop) -> bool:
    """Tell whether a shop's Kafka is of this folder: what lets in there lies here, or in this folder's containers."""
    if not shop.in_containers:
        return True
    found = shutil.which("docker")
    if found is None:
        return False
    asked = [found, "compose", "ps", "--quiet", "kafka"]
    return bool(subprocess.run(asked, cwd=ROOT, capture_output=True).stdout.strip())  # noqa: S603 (the engine's own)


def user_in_containers(layout: Layout, user: str, *asked: str) -> Brokers:
    """Ask how a user comes to the Kafka in containers, and keep it; end the command when nobody says."""
    doors = Doors(HOME / "containers", layout.bootstrap(), "")
    doors.keep(user, told_by_migrate(f"How {user} comes to Kafka", *(asked or ("deployment.doors", user))))
    return doors.user(user)


def told_by_migrate(what: str, *asked: str) -> str:
    """Ask a container of `migrate`, which alone sees all secrets; end the command when it does not say."""
    command = [docker(), "compose", "run", "--rm", "--no-deps", "-T", "migrate", *asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # noqa: S603 (the engine's own command)
    if done.returncode != 0:
        fail(f"{what} is in a volume of the containers, and they do not tell it:\n{done.stderr}")
    return done.stdout


def address_of(service: str) -> str:
    """Return the address at which a service of the running shop answers HTTP; end the command when it has none."""
    known_service(service)
    row = running_shop().rows.get(service)
    if row is None or not row.address:
        fail(f"{service} is not there yet. See how far it is: ./sliceline status")
    return row.address


def known_service(service: str) -> None:
    """End the command with exit code 2 when there is no such service."""
    if service not in CATALOGUE:
        fail(f"There is no service '{service}'. There are: {', '.join(CATALOGUE)}.", code=2)


def answers(row: Row) -> bool:
    """Tell whether a process is ready; one that has no port to be asked at counts as ready."""
    if row.port is None:
        return True
    if row.name in ASK:
        return ASK[row.name](row.port)
    return probes.http_ready(row.port, READY.get(row.name, "/health/ready"))


def compose(*arguments: str) -> NoReturn:
    """Become `docker compose` in the project's folder; end the command when there is no `docker`."""
    program = docker()
    os.chdir(ROOT)
    os.execv(program, [program, "compose", *arguments])  # noqa: S606 (the engine's own command)


def docker() -> str:
    """Return the path of `docker`; end the command when there is none."""
    found = shutil.which("docker")
    if found is None:
        fail("The shop runs in containers, or from another folder, and there is no `docker` here to reach it with.")
    return found


def _in_containers() -> Shop | None:
    layout = layout_for(0)
    with ThreadPoolExecutor(len(CATALOGUE)) as pool:
        alive = dict(zip(CATALOGUE, pool.map(lambda name: _is_ours(layout.port(name)), CATALOGUE), strict=True))
    if not any(alive.values()):
        return None
    servers = SERVERS if _takes_anothers_tokens(layout) else (IDENTITY, *SERVERS)
    rows = [Row(name, "ready" if alive.get(name, True) else "stopped") for name in (*servers, *CATALOGUE)]
    for row in rows:
        row.port, row.address = layout.port(row.name), _address(layout, row.name)
    return Shop(state.RUNNING, {row.name: row for row in rows}, in_containers=True, issuer=layout.issuer_url)


def _takes_anothers_tokens(layout: Layout) -> bool:
    """Tell whether people are not known by a provider of the shop's own: another one is named, or it has none."""
    return bool(layout.issuer_url) or not probes.http_ready(layout.port(IDENTITY), "/health/live")


def _is_ours(port: int) -> bool:
    return bool(probes.get_json(port, "/health/live") == {"status": "live"})


def _address(layout: Layout, name: str) -> str:
    at = layout.url(name).removeprefix("http://")
    return {"postgres": f"postgresql://{at}", "kafka": at}.get(name, f"http://{at}")
