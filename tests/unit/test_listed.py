"""The files that have to name every service name all of the catalogue, each in the same way."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deployment import CA_FILE
from deployment.certificates import POSTGRES_CA, POSTGRES_CERTIFICATE
from deployment.doors import Doors
from deployment.front_door import FILE
from deployment.passwords import Passwords
from deployment.people import key_of
from local import ROOT, kafka
from local.layout import Layout
from services import CATALOGUE
from tests.all_services import SERVICES
from tests.servers import variable

DOCUMENT: dict[str, Any] = msgspec.yaml.decode((ROOT / "docker-compose.yml").read_bytes())
COMPOSE, VOLUMES = DOCUMENT["services"], DOCUMENT["volumes"]
SANDBOX = {"identity", "realm", "keycloak", "provider", "mail", "robot"}
OTHERS = {"passwords", "people", "certificates", "postgres", "kafka", "migrate", "front", "console", *SANDBOX}
ADDED = {
    "postgres": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"],
    "front": ["NET_BIND_SERVICE"],
}
WIDE = ("privileged", "devices", "pid", "ipc", "uts", "userns_mode", "cgroup", "user", "volumes_from")
PROXIES = "SLICELINE_TRUSTED_PROXIES"
URL, PASSWORD = "SLICELINE_DATABASE_URL", "SLICELINE_DATABASE_PASSWORD_FILE"
IDENTITY_KEY = "SLICELINE_IDENTITY_KEY_FILE"
KAFKA_PASSWORD, AUTHORITY = "SLICELINE_KAFKA_PASSWORD_FILE", "SLICELINE_KAFKA_CA_FILE"


def without(block: dict[str, Any], *keywords: str) -> dict[str, Any]:
    return {keyword: value for keyword, value in block.items() if keyword not in keywords}


def test_every_service_tells_of_its_log_of_acts() -> None:
    assert [name for name in CATALOGUE if SERVICES[name].tells_acts is None] == []


def test_compose_runs_the_services_of_the_catalogue_and_a_worker_of_each() -> None:
    assert COMPOSE.keys() - OTHERS == {*CATALOGUE, *(f"{name}-worker" for name in CATALOGUE)}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_service_in_compose_has_its_own_module_database_and_port(name: str) -> None:
    block = COMPOSE[name]
    assert block["command"] == [f"services.{name}.service"]
    assert block["environment"][URL] == f"postgresql://{name}@postgres:5432/{name}"
    assert block["ports"] == [f"127.0.0.1:{CATALOGUE[name]}:8000"]


@pytest.mark.parametrize("name", CATALOGUE)
def test_all_services_in_compose_have_one_shape(name: str) -> None:
    own = ("command", "environment", "ports", "networks")
    assert without(COMPOSE[name], *own) == without(COMPOSE["orders"], *own)
    assert (
        without(COMPOSE["orders"]["environment"], URL, PASSWORD, KAFKA_PASSWORD, IDENTITY_KEY, PROXIES).items()
        <= COMPOSE[name]["environment"].items()
    )


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_service_in_compose_is_shown_its_password_and_none_of_an_owner_or_the_superuser(name: str) -> None:
    shown = {volume.split(":")[0]: volume.split(":", 1)[1] for volume in COMPOSE[name]["volumes"]}
    assert shown.keys() == {"objects", "keys", "service-passwords"}
    assert shown["service-passwords"] == "/passwords/services:ro"
    file = Passwords(Path("/passwords")).file(name)
    assert file.is_relative_to("/passwords/services")
    told = COMPOSE[name]["environment"]
    assert told[PASSWORD] == str(file)
    known = Doors(Path("/passwords"), told["SLICELINE_KAFKA"], "").user(name)
    assert (told[KAFKA_PASSWORD], told[AUTHORITY]) == (str(known.password_file), str(known.ca_file))
    makes = {volume.split(":")[0]: volume.split(":")[1] for volume in COMPOSE["certificates"]["volumes"]}
    assert told[CA_FILE] == str(
        "/passwords/services" / (Path("/kafka") / POSTGRES_CA).relative_to(makes["service-passwords"])
    )


def test_the_passwords_of_owners_are_shown_to_those_alone_who_draw_and_set_them_and_to_the_server() -> None:
    assert shown("passwords") == {"passwords", "migrate", "postgres"}
    assert shown("kafka-keys") == {"certificates", "migrate"}


def test_the_brokers_key_is_shown_to_those_alone_who_make_and_renew_it_and_to_the_broker() -> None:
    assert shown("broker-key") == {"certificates", "migrate", "kafka"}


def test_the_key_of_postgres_is_shown_to_those_alone_who_make_it_and_show_it() -> None:
    assert shown("postgres-key") == {"certificates", "postgres"}
    makes = {volume.split(":")[0]: volume.split(":")[1] for volume in COMPOSE["certificates"]["volumes"]}
    assert makes["postgres-key"] == str(Path("/kafka") / POSTGRES_CERTIFICATE.parent)


def test_what_the_identity_provider_keeps_is_shown_to_nobody_but_it_and_who_prepares_it() -> None:
    assert shown("identity") == {"people", "identity"}
    assert shown("robot-key") == {"people", "realm", "robot"}
    assert shown("console-key") == {"people", "realm", "console"}
    volumes = COMPOSE["identity"]["volumes"]
    assert volumes == ["identity:/identity"]  # it needs no private key of a service, nor a password


def test_keycloak_is_run_where_somebody_asks_for_it_and_shown_the_realm_alone() -> None:
    assert {name for name, block in COMPOSE.items() if "profiles" in block} == {"realm", "keycloak"}
    assert [COMPOSE[name]["profiles"] for name in ("realm", "keycloak")] == [["keycloak"]] * 2
    assert shown("realm") == {"realm", "keycloak"}
    assert COMPOSE["keycloak"]["volumes"] == ["realm:/opt/keycloak/data/import:ro"]


@pytest.mark.parametrize("name", [*CATALOGUE, "console", "robot"])
def test_whoever_calls_services_in_compose_has_a_key_that_was_drawn_for_it(name: str, tmp_path: Path) -> None:
    told = COMPOSE[name]["environment"]
    identity, drawn = tmp_path / "identity", tmp_path / "clients"
    key = key_of(identity, name, drawn)
    shown = {volume.split(":")[0]: volume.split(":")[1] for volume in COMPOSE[name]["volumes"]}
    makes = {volume.split(":")[0]: volume.split(":")[1] for volume in COMPOSE["people"]["volumes"]}
    [volume] = [each for each in ("service-passwords", "console-key", "robot-key") if each in shown]
    assert Path(told[IDENTITY_KEY]).relative_to(shown[volume]) == (
        Path("/clients") / key.relative_to(drawn)
    ).relative_to(makes[volume])
    assert COMPOSE["people"]["command"] == ["deployment.people", "/identity", "/clients"]
    assert list(identity.rglob("key.pem")) == []


@pytest.mark.parametrize("name", [*CATALOGUE, "console", "robot"])
def test_nobody_in_compose_is_let_in_without_a_token(name: str) -> None:
    told = COMPOSE[name]["environment"]
    ours = COMPOSE["identity"]["environment"]["SLICELINE_ISSUER"]
    assert told["SLICELINE_ISSUER"] == f"${{SLICELINE_ISSUER:-{ours}}}"
    assert ours == Layout().url("identity")
    assert told["SLICELINE_ISSUER_TOKENS"] == "${SLICELINE_ISSUER_TOKENS-http://identity:8000/token}"


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_service_in_compose_believes_the_front_door_alone_where_clients_are(name: str) -> None:
    """And no door at all where it does not see it: whoever is called so elsewhere would be believed."""
    sees_it = "front" in COMPOSE[name]["networks"]
    assert COMPOSE[name]["environment"].get(PROXIES) == ("front" if sees_it else None)
    assert "front" in COMPOSE


def shown(volume: str) -> set[str]:
    return {
        name for name, block in COMPOSE.items() for each in block.get("volumes", ()) if each.startswith(f"{volume}:")
    }


@pytest.mark.parametrize("name", COMPOSE)
def test_no_container_has_more_rights_than_it_needs(name: str) -> None:
    block = COMPOSE[name]
    assert block["cap_drop"] == ["ALL"]
    assert block.get("cap_add", []) == ADDED.get(name, [])
    # Nothing beside it, so no profile of the engine's is turned off, that of seccomp either.
    assert block["security_opt"] == ["no-new-privileges:true"]
    assert not [word for word in block if word in WIDE]
    assert block.get("network_mode", "none") == "none"


@pytest.mark.parametrize("name", COMPOSE)
def test_no_container_is_shown_anything_of_the_machine_it_runs_on(name: str) -> None:
    """Nor the engine's socket: what is mounted are volumes of compose's own, and two files of ours."""
    shown = {volume.split(":")[0] for volume in COMPOSE[name].get("volumes", ())}
    assert shown <= VOLUMES.keys()
    assert not [each for each in VOLUMES.values() if each]
    files = {"front": ["front"], "postgres": ["pg-hba"]}
    assert [each["source"] for each in COMPOSE[name].get("configs", ())] == files.get(name, [])
    ours = {"front": FILE.relative_to(ROOT).as_posix(), "pg-hba": "deployment/pg_hba.conf"}
    assert DOCUMENT["configs"] == {name: {"file": file} for name, file in ours.items()}


def test_outside_of_this_machine_nothing_is_reached_unless_somebody_says_so() -> None:
    ports = {name: block["ports"] for name, block in COMPOSE.items() if "ports" in block}
    assert ports.pop("front") == ["${SLICELINE_FRONT:-127.0.0.1:8443}:8443"]
    assert not [each for every in ports.values() for each in every if not each.startswith("127.0.0.1:")]


SECRET = re.compile("PASS|SECRET|TOKEN|KEY|CREDENTIAL")
PLACES = ("/passwords", "/kafka", "/keys", "/clients")
TOLD = {
    "SLICELINE_POSTGRES_PASSWORD": "${SLICELINE_POSTGRES_PASSWORD:-}",  # of an older installation, for one start
    "AWS_ACCESS_KEY_ID": None,
    "AWS_SECRET_ACCESS_KEY": None,
    "SLICELINE_ISSUER_KEYS": "${SLICELINE_ISSUER_KEYS-http://identity:8000/keys}",
    "SLICELINE_ISSUER_TOKENS": "${SLICELINE_ISSUER_TOKENS-http://identity:8000/token}",
}


@pytest.mark.parametrize("name", COMPOSE)
def test_no_secret_stands_in_compose(name: str) -> None:
    """What sounds like one names the file or the folder that it is in, or where it is got."""
    if COMPOSE[name]["image"] == "apache/kafka:4.3.1":  # its settings are held to those of this machine below
        return
    told = {each: said for each, said in COMPOSE[name].get("environment", {}).items() if SECRET.search(each)}
    assert {each for each, said in told.items() if not str(said).startswith(PLACES)} <= TOLD.keys()
    assert {each: said for each, said in told.items() if each in TOLD}.items() <= TOLD.items()


@pytest.mark.parametrize("name", COMPOSE)
def test_a_container_of_ours_needs_no_shell_and_writes_to_nothing_but_its_volumes(name: str) -> None:
    block = COMPOSE[name]
    if block["image"] != "sliceline":
        return
    assert block["read_only"] is True
    assert "entrypoint" not in block
    asked = block.get("healthcheck", {"disable": True})
    assert asked == {"disable": True} or asked["test"][:2] == ["CMD", "python"]


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_worker_in_compose_is_its_service_without_a_port(name: str) -> None:
    roles = ["--roles", "consumers,jobs"]
    service = without(COMPOSE[name], "ports", "networks")
    worker = without(COMPOSE[f"{name}-worker"], "networks")
    assert worker == {**service, "command": [*service["command"], *roles], "scale": 0}


@pytest.mark.parametrize(("name", "port"), CATALOGUE.items())
def test_the_readme_tells_where_a_service_answers(name: str, port: int) -> None:
    [addresses] = [part for part in (ROOT / "README.md").read_text().split("\n\n") if part.startswith("Addresses, ")]
    assert f"{name} {port}" in addresses.replace("\n", " ")


def test_kafka_in_compose_has_the_doors_that_it_has_on_this_machine() -> None:
    told = COMPOSE["kafka"]["environment"]
    listeners = "listener.security.protocol.map"  # there are two for users: other containers, and this machine
    wanted = {variable(name): value for name, value in kafka.closed(Path("/kafka/broker")).items()}
    protocols = dict(each.split(":") for each in told[variable(listeners)].split(","))
    ours = dict(each.split(":") for each in wanted.pop(variable(listeners)).split(","))
    assert wanted.items() <= told.items()
    assert protocols == {**ours, "HOST": ours["USERS"]}
