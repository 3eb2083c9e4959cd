"""The files that have to name every service name all of the catalogue, each in the same way."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from deployment.passwords import Passwords
from local import ROOT
from services import CATALOGUE

COMPOSE: dict[str, Any] = msgspec.yaml.decode((ROOT / "docker-compose.yml").read_bytes())["services"]
OTHERS = {"passwords", "postgres", "kafka", "migrate", "provider", "mail", "robot"}
URL, PASSWORD = "SLICELINE_DATABASE_URL", "SLICELINE_DATABASE_PASSWORD_FILE"


def without(block: dict[str, Any], *keywords: str) -> dict[str, Any]:
    return {keyword: value for keyword, value in block.items() if keyword not in keywords}


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
    own = ("command", "environment", "ports")
    assert without(COMPOSE[name], *own) == without(COMPOSE["orders"], *own)
    assert without(COMPOSE["orders"]["environment"], URL, PASSWORD).items() <= COMPOSE[name]["environment"].items()


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_service_in_compose_is_shown_its_password_and_none_of_an_owner_or_the_superuser(name: str) -> None:
    shown = {volume.split(":")[0]: volume.split(":", 1)[1] for volume in COMPOSE[name]["volumes"]}
    assert shown.keys() == {"objects", "keys", "service-passwords"}
    assert shown["service-passwords"] == "/passwords/services:ro"
    file = Passwords(Path("/passwords")).file(name)
    assert file.is_relative_to("/passwords/services")
    assert COMPOSE[name]["environment"][PASSWORD] == str(file)


def test_the_passwords_of_owners_are_shown_to_those_alone_who_draw_and_set_them_and_to_the_server() -> None:
    shown = {
        name for name, block in COMPOSE.items() for each in block.get("volumes", ()) if each.startswith("passwords:")
    }
    assert shown == {"passwords", "migrate", "postgres"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_worker_in_compose_is_its_service_without_a_port(name: str) -> None:
    roles = ["--roles", "consumers,jobs"]
    service = without(COMPOSE[name], "ports")
    assert COMPOSE[f"{name}-worker"] == {**service, "command": [*service["command"], *roles], "scale": 0}


@pytest.mark.parametrize(("name", "port"), CATALOGUE.items())
def test_the_readme_tells_where_a_service_answers(name: str, port: int) -> None:
    [addresses] = [part for part in (ROOT / "README.md").read_text().split("\n\n") if part.startswith("Addresses, ")]
    assert f"{name} {port}" in addresses.replace("\n", " ")
