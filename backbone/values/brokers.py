"""Says where Kafka is and as whom it is asked; what each of its clients is told follows from that."""

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbone.values.passwords import password_in

if TYPE_CHECKING:
    from aiokafka.conn import ScramAuthenticator

MECHANISM = "SCRAM-SHA-512"


@dataclass(frozen=True)
class Brokers:
    """Names Kafka's servers, and the files by which a client knows them and they know it.

    A user comes with a password, an administrator with a certificate and its key, in one file. Without `ca_file` the
    connection is plain, and the client nobody.
    """

    bootstrap: str
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None

    def __str__(self) -> str:
        """Say where Kafka is."""
        return self.bootstrap

    def client(self) -> dict[str, Any]:
        """Return what a client of aiokafka is told. Files are read anew: a new client has what was renewed meanwhile.

        Raises OSError and ValueError, which show no secret.
        """
        told: dict[str, Any] = {"bootstrap_servers": self.bootstrap}
        if self.ca_file is None:
            return told
        told["ssl_context"] = self.tls()
        if self.user is None or self.password_file is None:
            return {**told, "security_protocol": "SSL"}
        _hash_passwords_once()
        return {
            **told,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": MECHANISM,
            "sasl_plain_username": self.user,
            "sasl_plain_password": password_in(self.password_file.read_text()),
        }

    def tls(self) -> ssl.SSLContext:
        """Return how a connection is secured: with a server that the CA vouches for, by the name it was called by."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file)
        return context

    def environment(self) -> dict[str, str]:
        """Return the settings by which a service comes here as this user."""
        told = {
            "SLICELINE_KAFKA": self.bootstrap,
            "SLICELINE_KAFKA_USER": self.user,
            "SLICELINE_KAFKA_PASSWORD_FILE": self.password_file,
            "SLICELINE_KAFKA_CA_FILE": self.ca_file,
        }
        return {name: str(value) for name, value in told.items() if value is not None}


@lru_cache(maxsize=8)
def _salted(hash_name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac(hash_name, password, salt, iterations)


def _salt(scram: "ScramAuthenticator", salt: bytes, iterations: int) -> None:
    scram._salted_password = _salted(scram._hashname, scram._sasl_plain_password, salt, iterations)


@cache
def _hash_passwords_once() -> None:
    """Have all connections of this process share what a password is hashed to, as RFC 5802 (section 3) allows.

    A client has a connection for each purpose, and for each aiokafka would hash the password some thousand times again:
    of what a service does at its start, a tenth.
    """
    from aiokafka.conn import ScramAuthenticator  # a quarter of what a command imports, and most ask no Kafka

    ScramAuthenticator.create_salted_password = _salt  # type: ignore[method-assign]


def authorities_in(text: str) -> None:
    """Check that a file holds certificates by which a server is known. Raises ValueError."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):  # of what is empty as well
        raise ValueError("must hold certificates in PEM") from None


def told_by(environ: Mapping[str, str]) -> Brokers | None:
    """Return the Kafka that the environment names, as the settings of a service do; None where it names none."""
    bootstrap, user = environ.get("SLICELINE_KAFKA"), environ.get("SLICELINE_KAFKA_USER")
    password, ca = environ.get("SLICELINE_KAFKA_PASSWORD_FILE"), environ.get("SLICELINE_KAFKA_CA_FILE")
    if not bootstrap:
        return None
    return Brokers(bootstrap, user or None, Path(password) if password else None, Path(ca) if ca else None)
