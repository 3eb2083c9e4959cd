"""Makes the certificates of an installation, and renews them ahead of their end, at each start.

`up` does so for Kafka, and `python -m deployment.certificates FOLDER` in the container image for Postgres as well: the
one that `up` starts has no TLS.

A small authority of the installation's own signs them. Its key leaves its folder for nobody. Whoever it vouches for, is
known by the name in the certificate: see `doors.py`.
"""

import os
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deployment.doors import ADMIN, AUTHORITY, BROKER, CA, CERTIFICATE, SERVICES

LIVES = timedelta(days=365)
AUTHORITY_LIVES = timedelta(days=3650)
POSTGRES = "postgres"
POSTGRES_CERTIFICATE = Path(POSTGRES) / "postgres.pem"
POSTGRES_CA = Path(SERVICES) / "postgres-ca.pem"
"""By whom services know Postgres."""
_HERE = ("localhost", "127.0.0.1", "::1")
"""How a server is called on this machine; containers beside it call it by its name."""
_CLIENT, _SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
_SKEW = timedelta(hours=1)
"""How far a clock may be behind that reads a certificate of this moment."""


@dataclass(frozen=True)
class _Issued:
    """Describes a certificate with its key, and the file beside it by which its owner's peers are known."""

    name: str
    certificate: Path
    authority: Path
    purposes: tuple[x509.ObjectIdentifier, ...]
    hosts: tuple[str, ...] = ()
    mode: int = 0o600


_BROKER = _Issued(BROKER, Path(BROKER) / CERTIFICATE, Path(BROKER) / CA, (_CLIENT, _SERVER), (*_HERE, "kafka"))
_ADMIN = _Issued(ADMIN, Path(ADMIN) / CERTIFICATE, Path(ADMIN) / CA, (_CLIENT,))
# No client of anybody: at the broker's doors this one opens nothing.
_POSTGRES = _Issued(POSTGRES, POSTGRES_CERTIFICATE, POSTGRES_CA, (_SERVER,), (*_HERE, POSTGRES))


def renew(keys: Path) -> None:
    """Make Kafka's certificates that are missing, and renew those with less than a third of their life before them.

    Who has one of an authority that goes, gets one of the next with it.
    """
    _renew(keys, _BROKER, _ADMIN)


def renew_in_containers(keys: Path) -> None:
    """Do the same, also for Postgres. The group of the broker's key may read it: the broker is another user there."""
    _renew(keys, replace(_BROKER, mode=0o640), _ADMIN, _POSTGRES)


def _renew(keys: Path, *wanted: _Issued) -> None:
    authority = keys / AUTHORITY
    if not _lasts(authority / CERTIFICATE, AUTHORITY_LIVES):
        key = _new_key()
        certificate = _signed("sliceline", key, key, None, AUTHORITY_LIVES, (), ())
        for each in wanted:
            (keys / each.certificate).unlink(missing_ok=True)
        _write(authority / CA, certificate.public_bytes(Encoding.PEM), 0o644)
        _write(authority / CERTIFICATE, _pem(key, certificate), 0o600)
    for each in wanted:
        if not (_lasts(keys / each.certificate, LIVES) and _knows(keys / each.authority, authority / CA)):
            _issue(keys, each)


def _issue(keys: Path, wanted: _Issued) -> None:
    told = (keys / AUTHORITY / CERTIFICATE).read_bytes()
    authority, signing = x509.load_pem_x509_certificate(told), load_pem_private_key(told, None)
    if not isinstance(signing, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{keys / AUTHORITY / CERTIFICATE} holds a key of another kind than ours")
    key = _new_key()
    certificate = _signed(wanted.name, key, signing, authority, LIVES, wanted.hosts, wanted.purposes)
    _write(keys / wanted.authority, (keys / AUTHORITY / CA).read_bytes(), 0o644)
    _write(keys / wanted.certificate, _pem(key, certificate), wanted.mode)


def _knows(path: Path, authority: Path) -> bool:
    return path.exists() and path.read_bytes() == authority.read_bytes()


def _lasts(path: Path, life: timedelta) -> bool:
    """Tell whether a certificate is there, and has a third of its life before it."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):  # none yet, or a torn one
        return False
    return certificate.not_valid_after_utc - _now() > life / 3


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signing: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate | None,
    life: timedelta,
    hosts: tuple[str, ...],
    purposes: tuple[x509.ObjectIdentifier, ...],
) -> x509.Certificate:
    """Make a certificate; without an authority it is one, and vouches for itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = _now()
    usage = x509.KeyUsage(True, False, False, False, False, authority is None, authority is None, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority is None else authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(authority is None, 0 if authority is None else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if authority is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(each) for each in hosts]), critical=False)
    return builder.sign(signing, hashes.SHA256())


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  there is no database yet


def _host(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name)) if name[0].isdigit() or ":" in name else x509.DNSName(name)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bytes:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file in one step: a reader never finds half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


if __name__ == "__main__":
    renew_in_containers(Path(sys.argv[1]))
