"""The certificates of an installation: made once, seen by their owner alone, and renewed ahead of their end."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from deployment import certificates
from deployment.certificates import POSTGRES_CA, POSTGRES_CERTIFICATE
from deployment.doors import ADMIN, AUTHORITY, BROKER, CA, CERTIFICATE, GUEST, OPERATOR, PASSWORD, SERVICES, Doors


def contents(keys: Path) -> dict[str, bytes]:
    return {str(file.relative_to(keys)): file.read_bytes() for file in keys.rglob("*") if file.is_file()}


def of(keys: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((keys / name / CERTIFICATE).read_bytes())


def test_certificates_are_made_once_and_each_key_is_its_owners_alone(tmp_path: Path) -> None:
    certificates.renew(tmp_path)
    made = contents(tmp_path)
    assert set(made) == {f"{name}/{file}" for name in (AUTHORITY, BROKER, ADMIN) for file in (CA, CERTIFICATE)}
    assert {(tmp_path / name / CERTIFICATE).stat().st_mode & 0o777 for name in (AUTHORITY, BROKER, ADMIN)} == {0o600}
    certificates.renew(tmp_path)
    assert contents(tmp_path) == made


def test_in_containers_postgres_has_one_that_is_a_servers_alone(tmp_path: Path) -> None:
    certificates.renew_in_containers(tmp_path)
    certificate = x509.load_pem_x509_certificate((tmp_path / POSTGRES_CERTIFICATE).read_bytes())
    certificate.verify_directly_issued_by(of(tmp_path, AUTHORITY))
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]  # Kafka takes no client by it
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", "postgres"}
    assert set(map(str, names.get_values_for_type(x509.IPAddress))) == {"127.0.0.1", "::1"}
    assert (tmp_path / POSTGRES_CERTIFICATE).stat().st_mode & 0o777 == 0o600
    (tmp_path / POSTGRES_CA).unlink()
    certificates.renew_in_containers(tmp_path)
    assert (tmp_path / POSTGRES_CA).read_bytes() == (tmp_path / AUTHORITY / CA).read_bytes()


def test_the_authority_vouches_for_the_broker_by_the_names_it_is_called_by(tmp_path: Path) -> None:
    certificates.renew(tmp_path)
    broker = of(tmp_path, BROKER)
    broker.verify_directly_issued_by(of(tmp_path, AUTHORITY))
    names = broker.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "kafka"} <= set(names.get_values_for_type(x509.DNSName))
    assert broker.not_valid_after_utc - datetime.now(UTC) > timedelta(days=360)


@pytest.mark.parametrize("name", [BROKER, ADMIN])
def test_a_certificate_with_less_than_a_third_of_its_life_is_renewed_and_no_other(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates.renew(tmp_path)
    (tmp_path / name / CERTIFICATE).unlink()
    monkeypatch.setattr(certificates, "LIVES", timedelta(days=120))
    certificates.renew(tmp_path)
    before = contents(tmp_path)
    monkeypatch.undo()
    certificates.renew(tmp_path)
    after = contents(tmp_path)
    assert [file for file in after if after[file] != before[file]] == [f"{name}/{CERTIFICATE}"]


def test_an_authority_near_its_end_is_renewed_with_all_that_it_vouches_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "AUTHORITY_LIVES", timedelta(days=1000))
    certificates.renew_in_containers(tmp_path)
    before = contents(tmp_path)
    monkeypatch.undo()
    certificates.renew_in_containers(tmp_path)
    after = contents(tmp_path)
    assert [file for file in after if after[file] == before[file]] == []
    of(tmp_path, ADMIN).verify_directly_issued_by(of(tmp_path, AUTHORITY))


def test_a_torn_certificate_is_made_anew(tmp_path: Path) -> None:
    certificates.renew(tmp_path)
    (tmp_path / BROKER / CERTIFICATE).write_bytes(b"half")
    certificates.renew(tmp_path)
    of(tmp_path, BROKER).verify_directly_issued_by(of(tmp_path, AUTHORITY))


def test_a_user_has_a_password_of_his_own_and_the_authority_there_is_now(tmp_path: Path) -> None:
    doors = Doors(tmp_path, "127.0.0.1:1", "127.0.0.1:2")
    certificates.renew(tmp_path)
    for user in ("orders", "alerts", OPERATOR, "orders"):
        doors.draw(user)
    drawn = {user: doors.password(user) for user in ("orders", "alerts", OPERATOR)}
    assert len(set(drawn.values())) == 3
    assert {file.parent.name for file in (tmp_path / SERVICES).rglob(PASSWORD)} == {"orders", "alerts"}
    (tmp_path / AUTHORITY / CERTIFICATE).unlink()
    certificates.renew(tmp_path)
    doors.draw("orders")
    assert doors.password("orders") == drawn["orders"]
    assert (tmp_path / SERVICES / CA).read_bytes() == (tmp_path / AUTHORITY / CA).read_bytes()


def test_what_is_told_of_a_user_lets_him_in_from_elsewhere(tmp_path: Path) -> None:
    here, there = (Doors(tmp_path / name, "127.0.0.1:1", "127.0.0.1:2") for name in ("here", "there"))
    certificates.renew(here.keys)
    for user in (OPERATOR, f"{GUEST}partner"):
        here.draw(user)
        for _ in range(2):
            there.keep(user, here.told(user))
        assert there.password(user) == here.password(user)
        assert there.told(user).strip() == here.told(user).strip()


def test_the_key_of_the_broker_alone_is_for_its_group_to_read_where_that_is_asked(tmp_path: Path) -> None:
    certificates.renew_in_containers(tmp_path)
    modes = {name: (tmp_path / name / CERTIFICATE).stat().st_mode & 0o777 for name in (AUTHORITY, BROKER, ADMIN)}
    assert modes == {AUTHORITY: 0o600, BROKER: 0o640, ADMIN: 0o600}


def test_a_client_is_told_what_its_files_say(tmp_path: Path) -> None:
    doors = Doors(tmp_path, "127.0.0.1:1", "127.0.0.1:2")
    certificates.renew(tmp_path)
    doors.draw("orders")
    told = doors.user("orders").client()
    assert (told["security_protocol"], told["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert told["sasl_plain_password"] == doors.password("orders")
    context = told["ssl_context"]
    assert (context.minimum_version, context.check_hostname) == (ssl.TLSVersion.TLSv1_3, True)
    assert doors.admin.client()["security_protocol"] == "SSL"
