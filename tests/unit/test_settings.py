"""Settings that cannot be are refused at the start, and those that can be are taken."""

import argparse
import importlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backbone.events.buses import longest_retention
from backbone.http.wording import in_plain_words
from backbone.settings import SEGMENT, Settings
from deployment import certificates
from deployment.doors import AUTHORITY, CA
from sandbox import serving
from services import CATALOGUE
from services.ledger.settings import Settings as OfLedger
from services.notifications.settings import Settings as OfNotifications
from services.orders.settings import Settings as OfOrders
from services.payments.settings import Settings as OfPayments
from tests.all_services import SERVICES

URL = "postgresql://orders:secret@127.0.0.1:5432/orders"


def refusal(of: type[Settings], name: str, value: str, **others: Any) -> str:
    """What is said about a value, which must be refused for this setting alone."""
    with pytest.raises(ValidationError) as refused:
        of.model_validate({"database_url": URL, name: value, **others})
    (error,) = refused.value.errors()
    assert error["loc"] == (name,)
    return in_plain_words(error)


@pytest.mark.parametrize(
    ("of", "name"),
    [
        (Settings, "stuck_after_seconds"),
        (OfOrders, "delay_after_seconds"),
        (OfPayments, "payment_give_up_seconds"),
    ],
)
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "0", "-1", "1e300", "1e9", "soon", ""])
def test_a_span_of_time_that_does_not_end_or_begin_is_refused(of: type[Settings], name: str, value: str) -> None:
    assert "must be" in refusal(of, name, value)


@pytest.mark.parametrize("value", ["0", "7", "-400", "soon"])
def test_an_archive_that_forgets_before_the_topics_do_is_refused(value: str) -> None:
    refusal(OfLedger, "ledger_days", value)


@pytest.mark.parametrize("value", ["orders", "orders=", "order=http://a:1", "orders=a:1", "*=http://a b"])
def test_addresses_of_services_that_nobody_could_ask_are_refused(value: str) -> None:
    refusal(OfLedger, "services", value)


def test_services_are_asked_where_they_are_said_to_be_and_else_nowhere() -> None:
    assert OfLedger(database_url=URL).addresses == {}
    assert OfLedger(database_url=URL, services="orders=http://a:1/").addresses == {"orders": "http://a:1"}
    every = OfLedger(database_url=URL, services="*=http://*:8000").addresses
    assert every == {name: f"http://{name}:8000" for name in CATALOGUE}


@pytest.mark.parametrize("value", ["", "Nowhere/Atlantis", "Europe", "../UTC", "/etc/localtime", "UTC+1:30"])
def test_a_time_zone_that_nobody_lists_is_refused(value: str) -> None:
    assert "Europe/London" in refusal(OfPayments, "time_zone", value)


def test_days_are_counted_in_utc_unless_the_shop_says_where_it_is() -> None:
    assert OfPayments(database_url=URL).zone.key == "UTC"
    assert OfPayments(database_url=URL, time_zone="Europe/London").zone.key == "Europe/London"


@pytest.mark.parametrize("value", ["0", "1", "6", "7", "-14", "1e300", "inf", "14.5", "100000000000"])
def test_an_inbox_that_forgets_before_the_topics_do_is_refused(value: str) -> None:
    refusal(Settings, "inbox_days", value)


def test_the_reason_is_told_in_plain_words() -> None:
    assert "topics keep events for 7 days" in refusal(Settings, "inbox_days", "1")


def test_the_inbox_remembers_longer_than_topics_keep() -> None:
    assert timedelta(days=Settings(database_url=URL).inbox_days) > longest_retention()


def test_the_inbox_outlasts_topics_letters_and_replays_together() -> None:
    assert Settings(database_url=URL, letter_days=8, replay_days=3, inbox_days=7 + 8 + 3 + 1).inbox_days == 19
    said = refusal(Settings, "inbox_days", "18", letter_days=8, replay_days=3)
    assert "must be more than 18: topics keep events for 7 days" in said
    assert "for 8 (SLICELINE_LETTER_DAYS)" in said
    assert "for 3 (SLICELINE_REPLAY_DAYS)" in said


def test_an_inbox_that_was_not_set_is_checked_against_longer_windows_as_well() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(database_url=URL, replay_days=365)
    [error] = refused.value.errors()
    assert (error["loc"], "must be more than 402" in error["msg"]) == (("inbox_days",), True)


def test_data_outlasts_the_events_that_name_it() -> None:
    assert Settings(database_url=URL, object_days=15).object_days == 15
    said = refusal(Settings, "object_days", "14")
    assert "must be more than 14: topics keep events for 7 days (buses.toml) and 7 until Kafka deletes them" in said
    assert timedelta(days=Settings(database_url=URL).object_days) > longest_retention() + SEGMENT


@pytest.mark.parametrize(
    "value",
    [
        "file:///srv/objects",
        "s3://bucket",
        "s3://bucket/prefix",
        "s3://bucket?endpoint=http://127.0.0.1:9000&region=eu-west-1",
    ],
)
def test_a_folder_or_what_speaks_s3_may_keep_data(value: str) -> None:
    assert Settings(database_url=URL, objects=value).objects == value
    assert Settings(database_url=URL, objects="").objects is None


@pytest.mark.parametrize(
    "value",
    [
        "objects",
        "/srv/objects",
        "file://host/objects",
        "file:///",
        "s3://",
        "s3:///prefix",
        "s3://Bucket",
        "s3://bucket?endpoint=minio:9000",
        "s3://bucket?endpoint=",
        "s3://bucket?secret=x",
        "https://bucket.example",
    ],
)
def test_an_address_at_which_no_object_could_be_is_refused(value: str) -> None:
    assert "must be of the shape" in refusal(Settings, "objects", value)


def test_what_was_discarded_is_remembered_longer_than_topics_keep_it() -> None:
    assert "must be more than 7" in refusal(Settings, "letter_days", "7")


@pytest.mark.parametrize(
    ("of", "name", "value"),
    [
        (Settings, "idempotency_days", "0"),
        (Settings, "idempotency_days", "99999999999"),
        (Settings, "port", "-1"),
        (Settings, "port", "65536"),
        (Settings, "host", ""),
        (Settings, "pool_size", "0"),
        (Settings, "pool_size", "100000"),
        (Settings, "requests_in_flight", "0"),
        (Settings, "client_rate", "0"),
        (Settings, "client_rate", "1e-300"),
        (Settings, "client_rate", "inf"),
        (Settings, "client_burst", "0"),
        (Settings, "principal_rate", "-1"),
        (Settings, "principal_burst", "0.5"),
        (Settings, "principal_streams", "0"),
        (Settings, "otlp_endpoint", "collector:4318"),
        (OfPayments, "provider_rate", "inf"),
        (OfPayments, "provider_rate", "nan"),
        (OfPayments, "provider_rate", "-1"),
        (OfPayments, "provider_rate", "1e-300"),
        (OfPayments, "provider_url", "127.0.0.1:8090"),
        (OfPayments, "provider_url", "ftp://127.0.0.1"),
        (OfNotifications, "smtp_host", ""),
        (OfNotifications, "smtp_port", "0"),
        (OfNotifications, "smtp_port", "70000"),
    ],
)
def test_a_number_or_a_name_that_cannot_be_is_refused(of: type[Settings], name: str, value: str) -> None:
    alias = of.model_fields[name].validation_alias
    assert refusal(of, str(alias or name), value)


@pytest.mark.parametrize(
    "value", ["10.0.0.300", "10.0.0.1/8", "10.0.0.0/33", "fd00::/129", "a b", "front:8443", "http://front"]
)
def test_what_is_no_network_is_refused_by_what_it_is(value: str) -> None:
    for name in ("trusted_proxies", "unlimited_networks"):
        assert value in refusal(Settings, name, f"127.0.0.1,{value}")


def test_a_proxy_may_be_a_network_or_a_host_and_a_network_no_host() -> None:
    assert Settings(database_url=URL, trusted_proxies="front, 10.0.0.0/8,lb-1.example.com").trusted_proxies
    assert "front" in refusal(Settings, "unlimited_networks", "front")


@pytest.mark.parametrize(
    "value", ["", "kafka", "kafka:", ":9092", "kafka:port", "kafka:0", "kafka:65536", "a:1,,b:2", "a:1 b:2", "::1:9092"]
)
def test_a_broker_without_host_or_port_is_refused_by_its_name(value: str) -> None:
    assert "host:port" in refusal(Settings, "kafka", value)


@pytest.mark.parametrize("value", ["kafka:9092", "127.0.0.1:19092", "a:1,b.example:2, c:3", "[::1]:9092"])
def test_brokers_are_host_and_port(value: str) -> None:
    assert Settings(database_url=URL, kafka=value).kafka == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "orders",
        "postgres://orders:secret@127.0.0.1/orders",
        "postgresql+asyncpg://orders:secret@127.0.0.1/orders",
        "mysql://orders:secret@127.0.0.1/orders",
        "postgresql:///orders",
        "postgresql://orders:secret@127.0.0.1:port/orders",
        "postgresql://orders:secret@127.0.0.1:99999/orders",
        "postgresql://orders:sec ret@127.0.0.1/orders",
    ],
)
def test_a_database_of_another_shape_is_refused_without_showing_its_password(value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(database_url=value)
    said = in_plain_words(refused.value.errors()[0])
    assert "postgresql://role:password@host:port/name" in said
    assert "secret" not in said


def test_an_empty_address_for_spans_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    assert Settings(database_url=URL).otlp_endpoint is None


@pytest.mark.parametrize("service", CATALOGUE)
def test_what_every_service_stands_on_can_be(service: str) -> None:
    settings: Any = importlib.import_module(f"services.{service}.service").SERVICE.settings
    assert settings(database_url=URL).database_url == URL


@pytest.mark.parametrize(
    ("convert", "value"),
    [
        (serving.not_negative, "inf"),
        (serving.not_negative, "nan"),
        (serving.not_negative, "-1"),
        (serving.not_negative, "1e300"),
        (serving.port, "70000"),
        (serving.port, "-1"),
        (serving.port, "http"),
        (serving.port, "８０"),
        (serving.http_url, "127.0.0.1:8004"),
        (serving.http_url, "http://"),
        (serving.http_url, "http://kitchen:70000"),
    ],
)
def test_the_sandbox_refuses_what_cannot_be(convert: Callable[[str], object], value: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not"):
        convert(value)


def test_a_password_for_kafka_belongs_to_an_authority_that_vouches_for_its_servers(tmp_path: Path) -> None:
    certificates.renew(tmp_path)
    (tmp_path / "password").write_text("secret-of-orders\n")
    told: dict[str, Any] = {
        "database_url": URL,
        "kafka_password_file": tmp_path / "password",
        "kafka_ca_file": tmp_path / AUTHORITY / CA,
    }
    brokers = Settings(**told).brokers("orders")
    assert (brokers.user, brokers.client()["sasl_plain_password"]) == ("orders", "secret-of-orders")
    assert Settings(**told, kafka_user="guest-a").brokers("a").user == "guest-a"
    assert "tell both" in refusal(Settings, "kafka_ca_file", "", kafka_password_file=tmp_path / "password")
    assert "tell both" in refusal(Settings, "kafka_ca_file", str(tmp_path / AUTHORITY / CA))
    both = {"kafka_password_file": tmp_path / "password"}
    assert "certificates in PEM" in refusal(Settings, "kafka_ca_file", str(tmp_path / "password"), **both)
    (tmp_path / "two").write_text("secret of orders")
    wrong = refusal(Settings, "kafka_password_file", str(tmp_path / "two"), kafka_ca_file=tmp_path / AUTHORITY / CA)
    assert "secret" not in wrong
    assert "one password" in wrong


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_service_refuses_what_every_service_refuses(name: str) -> None:
    """A validator that is called as one of the common settings would take its place, and nobody would notice."""
    own = SERVICES[name].settings
    for setting, given in (
        ("unlimited_networks", "10.0.0.0/8,nowhere"),
        ("trusted_proxies", "10.1/16"),
        ("roles", "x"),
    ):
        assert refusal(own, setting, given) == refusal(Settings, setting, given)
    common = Settings.__pydantic_decorators__.field_validators.keys()
    assert own is Settings or common.isdisjoint(vars(own))


def test_by_whom_postgres_is_known_stands_in_the_address_that_is_connected_to(tmp_path: Path) -> None:
    certificates.renew(tmp_path)
    file = tmp_path / AUTHORITY / CA
    known = f"sslmode=verify-full&sslrootcert={file}"
    assert Settings(database_url=URL).database_address == URL
    assert Settings(database_url=URL, database_ca_file=file).database_address == f"{URL}?{known}"
    told = f"{URL}?application_name=a%20b&sslmode=disable"
    told = Settings(database_url=told, database_ca_file=file).database_address
    assert told == f"{URL}?application_name=a%20b&{known}"
    empty: Any = ""
    assert Settings(database_url=URL, database_ca_file=empty).database_ca_file is None
    for text in ("", "secret"):
        (tmp_path / "none").write_text(text)
        wrong = refusal(Settings, "database_ca_file", str(tmp_path / "none"))
        assert "certificates in PEM" in wrong
        assert "secret" not in wrong
    assert "cannot be read" in refusal(Settings, "database_ca_file", str(tmp_path / "nowhere"))


def test_without_a_password_kafka_is_asked_in_the_clear_and_by_nobody() -> None:
    assert Settings(database_url=URL).brokers("orders").client() == {"bootstrap_servers": "127.0.0.1:19092"}


def test_without_an_issuer_nothing_starts_unless_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLICELINE_ISSUER")
    assert "SLICELINE_ISSUER must say" in refusal(Settings, "auth", "on")
    assert Settings(database_url=URL, auth="off").issuer is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "shop.example", "localhost.shop.example"])  # noqa: S104
def test_doors_that_others_reach_cannot_stand_open(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLICELINE_ISSUER")
    assert f"not at {host}" in refusal(Settings, "auth", "off", host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_doors_that_only_this_machine_reaches_can(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLICELINE_ISSUER")
    assert Settings(database_url=URL, auth="off", host=host).auth == "off"


def test_who_names_an_issuer_asks_for_its_tokens() -> None:
    assert "leave out SLICELINE_ISSUER" in refusal(Settings, "auth", "off")
