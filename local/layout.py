"""Says where everything listens on this machine: on the catalogue's ports, moved by --port-offset."""

import os
from dataclasses import dataclass
from pathlib import Path

from backbone.values.brokers import Brokers, told_by
from deployment import AUTH
from deployment.addresses import superuser_told_by
from deployment.doors import KEYS, Doors
from local import HOME
from local.ports import HOST
from services import CATALOGUE

FIXED = {
    "console": 8000,
    "provider": 8090,
    "identity": 8092,
    "mail": 8025,
    "smtp": 1025,
    "postgres": 15432,
    "kafka": 19092,
    "kafka controller": 19093,
    "kafka admins": 19094,
}
LISTENER = 8091
"""Where `./sliceline webhooks listen` listens, for as long as somebody looks."""
HIGHEST_OFFSET = 65535 - max([*FIXED.values(), *CATALOGUE.values()])


@dataclass(frozen=True)
class Layout:
    """Holds ports and folders of one run. Servers named by the user are not ours to start."""

    offset: int = 0
    postgres_url: str | None = None
    kafka: Brokers | None = None
    home: Path = HOME
    objects_url: str | None = None
    issuer_url: str | None = None
    has_doors: bool = True
    """Whether people and services are let in by tokens alone, those of an identity provider of ours if need be."""

    def port(self, name: str) -> int:
        return {**CATALOGUE, **FIXED}[name] + self.offset

    @property
    def listener(self) -> int:
        return LISTENER + self.offset

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.port(name)}"

    def bootstrap(self) -> str:
        return self.kafka.bootstrap if self.kafka else f"{HOST}:{self.port('kafka')}"

    def doors(self) -> Doors:
        """Return how everybody gets into the Kafka that is ours."""
        keys = self.folder("kafka").resolve() / KEYS
        return Doors(keys, self.bootstrap(), f"{HOST}:{self.port('kafka admins')}")

    def brokers(self, user: str) -> Brokers:
        """Return Kafka as this user sees it; one that is not ours as the environment says."""
        return self.kafka or self.doors().user(user)

    def objects(self) -> str:
        """Return the address of the object store: a folder of ours, unless another one is used."""
        return self.objects_url or self.folder("objects").resolve().as_uri()

    @property
    def has_own_issuer(self) -> bool:
        """Whether the identity provider is ours to start."""
        return self.has_doors and self.issuer_url is None

    def issuer(self) -> str | None:
        """Return who signs the tokens that let people and services in; None where everybody may do everything."""
        return (self.issuer_url or self.url("identity")) if self.has_doors else None

    def ports(self) -> dict[int, str]:
        """Return every port that this run will listen on, with the name of the process that will."""
        names = [*CATALOGUE, "console", "provider", "mail", "smtp"]
        names += ["identity"] if self.has_own_issuer else []
        names += [] if self.postgres_url else ["postgres"]
        names += [] if self.kafka else ["kafka", "kafka controller", "kafka admins"]
        return {self.port(name): name for name in names}

    def folder(self, name: str) -> Path:
        return self.home / name

    @property
    def logs(self) -> Path:
        return self.home / "logs"


def layout_for(offset: int) -> Layout:
    """Make the layout, with those servers and that object store which the environment names."""
    return Layout(
        offset,
        superuser_told_by(os.environ),
        told_by(os.environ),
        objects_url=os.environ.get("SLICELINE_OBJECTS") or None,
        issuer_url=os.environ.get("SLICELINE_ISSUER") or None,
        has_doors=os.environ.get(AUTH) != "off",
    )
