"""Says how everybody gets into a Kafka of ours: where its listeners are, and who has which files for them.

Each user has a folder with his password; those of services lie apart, for services to be shown, beside the one file by
which all know the broker. The broker and the administrator have a certificate instead of a password, with its key.
"""

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backbone.values.brokers import Brokers
from backbone.values.passwords import password_in
from deployment.drawing import draw_once, written

AUTHORITY, BROKER, ADMIN = "authority", "broker", "admin"
"""Who has certificates: the one that signs them, and those that come with them."""
OPERATOR = "operator"
"""The user of the commands: reads everything, and changes nothing."""
KEYS = "keys"
"""The folder of all of them, in that of the broker that `up` and tests run."""
GUEST = "guest-"
"""What the names of users begin with that do not follow from the services that there are: outside partners."""
SERVICES = "services"
"""The folder of services' own users."""
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
        return Brokers(self.bootstrap, name, self._folder(name) / PASSWORD, self._authority)

    def password(self, name: str) -> str:
        """Return the password of a user. Raises OSError and ValueError, which name the file and do not show it."""
        file = self._folder(name) / PASSWORD
        try:
            return password_in(file.read_text())
        except ValueError as error:
            raise ValueError(f"{file} {error}") from None

    def told(self, name: str) -> str:
        """Return what a user comes with: in the first line his password, then by what he knows the broker."""
        return f"{self.password(name)}\n{self._authority.read_text()}"

    def keep(self, name: str, told: str) -> None:
        """Write down what another folder has `told` of a user."""
        password, _, authority = told.partition("\n")
        for file, text in ((self._folder(name) / PASSWORD, password), (self._authority, authority)):
            file.parent.mkdir(parents=True, exist_ok=True)
            written(file, f"{text.rstrip()}\n").replace(file)

    def draw(self, name: str) -> None:
        """Draw the password of a user who has none, and put in its place by what users know the broker."""
        draw_once(self._folder(name) / PASSWORD, secrets.token_urlsafe(24))
        authority, known = (self.keys / AUTHORITY / CA).read_text(), self._authority
        known.parent.mkdir(parents=True, exist_ok=True)
        if not known.exists() or known.read_text() != authority:
            written(known, authority).replace(known)

    @property
    def _authority(self) -> Path:
        return self.keys / SERVICES / CA

    def _folder(self, name: str) -> Path:
        is_of_a_service = name != OPERATOR and not name.startswith(GUEST)
        return self.keys / SERVICES / name if is_of_a_service else self.keys / name


def main() -> None:
    """Print what a user comes with, for commands outside of the containers: `python -m deployment.doors USER`."""
    doors = Doors.told_by(os.environ)
    if doors is None or len(sys.argv) != 2:
        sys.exit("Say whose, where SLICELINE_KAFKA, SLICELINE_KAFKA_KEYS and SLICELINE_KAFKA_ADMINS name the doors.")
    try:
        sys.stdout.write(doors.told(sys.argv[1]))
    except OSError as error:
        sys.exit(f"{sys.argv[1]} has no password here: {type(error).__name__}")


if __name__ == "__main__":
    main()
