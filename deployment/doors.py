"""Says how everybody gets into a Kafka of ours: where its listeners are, and who has which files for them.

Each user has a folder, so that a container can be given that of its own user alone: his password, and by what he knows
the broker. The broker and the administrator have a certificate instead of a password, with its key.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backbone.values.brokers import Brokers
from deployment.drawing import draw_once

AUTHORITY, BROKER, ADMIN = "authority", "broker", "admin"
"""Who has certificates: the one that signs them, and those that come with them."""
OPERATOR = "operator"
"""The user of the commands: reads everything, and changes nothing."""
KEYS = "keys"
"""The folder of all of them, in that of the broker that `up` and tests run."""
CA, CERTIFICATE, PASSWORD = "kafka-ca.pem", "kafka.pem", "kafka-password"


@dataclass(frozen=True)
class Doors:
    """Names the folder of the keys, and two addresses: where users come, and where the administrator does."""

    keys: Path
    bootstrap: str
    admins: str

    @classmethod
    def told_by(cls, environment: Mapping[str, str]) -> "Doors | None":
        """Return the doors that the environment of `migrate` names; None where it names none."""
        told = [environment.get(f"SLICELINE_KAFKA{name}") for name in ("_KEYS", "", "_ADMINS")]
        keys, bootstrap, admins = told
        return cls(Path(keys), bootstrap, admins) if keys and bootstrap and admins else None

    def environment(self) -> dict[str, str]:
        """Return what `migrate` has to be told of these doors."""
        told = {"_KEYS": str(self.keys), "": self.bootstrap, "_ADMINS": self.admins}
        return {f"SLICELINE_KAFKA{name}": value for name, value in told.items()}

    @property
    def admin(self) -> Brokers:
        """Kafka as its administrator sees it, who may do everything."""
        own = self.keys / ADMIN
        return Brokers(self.admins, ca_file=own / CA, certificate_file=own / CERTIFICATE)

    def user(self, name: str) -> Brokers:
        """Return Kafka as a user of this name sees it."""
        own = self.keys / name
        return Brokers(self.bootstrap, name, own / PASSWORD, own / CA)

    def draw(self, name: str) -> None:
        """Draw the password of a user who has none, and put beside it what the broker is known by."""
        draw_once(self.keys / name / PASSWORD, secrets.token_urlsafe(24))
        authority, own = (self.keys / AUTHORITY / CA).read_text(), self.keys / name / CA
        if not own.exists() or own.read_text() != authority:
            unfinished = own.with_suffix(".new")
            unfinished.write_text(authority)
            unfinished.replace(own)
