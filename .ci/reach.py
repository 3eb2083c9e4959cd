"""Tries to reach each container that runs from each other one; fails where that is not as deployment/networks.py says.

    PYTHONPATH=. .venv/bin/python .ci/reach.py

Who is to be reached answers by name; of anybody else no address does, not even to refuse. In containers of ours their
own Python asks; for others (Postgres, the front door) one of ours does that is put into their network.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

from deployment.catalogue import service_of
from deployment.networks import networks, reached, worker_of
from services import CATALOGUE

IMAGE = "sliceline"
ASKED = """
import json, socket, struct, sys
from concurrent.futures import ThreadPoolExecutor

def answers(place):
    host, port, seconds = place
    try:
        socket.create_connection((host, port), seconds).close()
    except ConnectionRefusedError:
        return True  # somebody is there
    except OSError:
        return False
    return True

def way_out():
    lines = [line.split() for line in open("/proc/net/route")]
    return [socket.inet_ntoa(struct.pack("<L", int(line[2], 16))) for line in lines if line[1] == "00000000"]

others = json.load(sys.stdin)
with ThreadPoolExecutor(sum(map(len, others))) as threads:
    tried = [[threads.submit(answers, place) for place in places] for places in others]
    print(json.dumps([way_out(), [any(each.result() for each in places) for places in tried]]))
"""
"""Tells, within a container, where its default route leads, and of each other one whether it answers at any place."""
LONG, SHORT = 5.0, 1.0
"""Seconds for who has to answer, and for who must not: the engine drops what is sent to him."""
Place = tuple[str, int, float]


@dataclass(frozen=True)
class Container:
    """Describes a container that runs."""

    id: str
    service: str
    is_ours: bool
    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    egress: tuple[str, ...]
    """The gateway of the network that leads out, where it is in that."""

    def places(self, *, by_name: bool, seconds: float) -> list[Place]:
        hosts = [self.service] if by_name else self.addresses
        return [(host, port, seconds) for host, port in product(hosts, self.ports)]


def main() -> None:
    began = time.monotonic()
    declared = reached(networks({name: service_of(name) for name in CATALOGUE}))
    containers = list(running())
    if len(containers) < 2:
        sys.exit("No shop runs here: docker compose up --wait")
    with ThreadPoolExecutor(len(containers)) as threads:
        found = list(threads.map(lambda each: tried(each, containers, declared), containers))
    if wrong := [said for each in found for said in each]:
        sys.exit("\n".join(["Containers reach others than deployment/networks.py says:", *wrong]))
    print(f"  {time.monotonic() - began:5.1f} s  {len(containers)} containers reach whom they should, and nobody else")  # noqa: T201


def running() -> Iterator[Container]:
    ids = told_by("docker", "compose", "ps", "--quiet").split()
    for each in json.loads(told_by("docker", "inspect", *ids)) if ids else ():
        joined: Mapping[str, Any] = each["NetworkSettings"]["Networks"]
        ports = (port.partition("/") for port in each["NetworkSettings"]["Ports"])
        yield Container(
            each["Id"],
            each["Config"]["Labels"]["com.docker.compose.service"],
            each["Config"]["Image"] == IMAGE,
            tuple(network["IPAddress"] for network in joined.values()),
            tuple(int(port) for port, _, protocol in ports if protocol == "tcp"),
            tuple(network["Gateway"] for name, network in joined.items() if name.endswith("_egress")),
        )


def tried(one: Container, containers: Sequence[Container], declared: Mapping[str, set[str]]) -> list[str]:
    """Try to reach all others from one container; return a sentence for each that is not as declared."""
    others = [each for each in containers if each.service != one.service]
    wanted = [each.service in declared[one.service] for each in others]
    places = [
        each.places(by_name=yes and not is_its_own(one, each), seconds=LONG if yes else SHORT)
        for each, yes in zip(others, wanted, strict=True)
    ]
    way_out, answers = asked(one, places)
    wrong = [
        f"{one.service} {'reaches' if is_there else 'does not reach'} {other.service}"
        for other, yes, is_there in zip(others, wanted, answers, strict=True)
        if yes != is_there
    ]
    if one.egress and way_out != list(one.egress):
        wrong.append(f"{one.service} has its way out by {way_out}, and egress is {one.egress}")
    return wrong


def is_its_own(one: Container, other: Container) -> bool:
    """Tell a service and its worker, who do not call each other: a name may lead to where both get out, and part."""
    return worker_of(one.service) == other.service or worker_of(other.service) == one.service


def asked(container: Container, places: Sequence[Sequence[Place]]) -> tuple[list[str], list[bool]]:
    within = ["exec", "-i", container.id, "python"]
    beside = ["run", "--rm", "-i", "--network", f"container:{container.id}", "--entrypoint", "python", IMAGE]
    told = told_by("docker", *(within if container.is_ours else beside), "-c", ASKED, given=json.dumps(places))
    way_out, answers = json.loads(told)
    return way_out, answers


def told_by(*command: str, given: str = "") -> str:
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True).stdout  # noqa: S603


if __name__ == "__main__":
    main()
