"""The commands with a shop that no `up` of this folder started: in containers it answers on the usual ports."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from backbone.values.brokers import Brokers
from cli import login
from cli.__main__ import app
from cli.running import Shop, running_shop
from deployment.roles import READER
from local.layout import FIXED
from local.ports import free_port
from services import CATALOGUE
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import serving

DOCKER = """#!/bin/sh
echo "in $PWD: docker $*"
"""


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shop of this folder, and free ports where one in containers would be."""
    monkeypatch.setattr("cli.running.HOME", tmp_path)
    monkeypatch.setattr("cli.down.HOME", tmp_path)
    for ports in (CATALOGUE, FIXED):
        for name in ports:
            monkeypatch.setitem(ports, name, free_port())


@pytest.fixture
def orders(nobody: None, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The orders service on its usual port, as if compose had published it."""
    with serving(SERVICE, new_database("orders")) as address:
        monkeypatch.setitem(CATALOGUE, "orders", urlsplit(address).port)
        yield address


def test_status_shows_the_shop_that_answers_on_the_usual_ports(orders: str) -> None:
    status = CliRunner().invoke(app, ["status", "--json"])
    shown = json.loads(status.stdout)
    assert (shown["phase"], shown["containers"]) == ("running", True)
    assert shown["processes"]["orders"] | {"healthy": True, "address": orders} == shown["processes"]["orders"]
    assert shown["processes"]["kitchen"]["state"] == "stopped"
    assert status.exit_code == 1  # the other services are missing


def test_an_order_is_placed_with_the_shop_that_answers(orders: str) -> None:
    placed = CliRunner().invoke(app, ["order", "margherita:2"])
    assert (placed.exit_code, "placed" in placed.output) == (0, True), placed.output


def test_redrive_asks_the_shop_that_answers(orders: str) -> None:
    redriven = CliRunner().invoke(app, ["redrive", "orders"])
    assert "0 events handled" in redriven.output


def test_an_export_reads_the_kafka_of_the_shop_that_answers(
    orders: str, orders_topic: None, kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.exported.kafka_of", lambda _: kafka)
    exported = CliRunner().invoke(app, ["export", "--to", str(tmp_path / "folder")])
    assert (exported.exit_code, " events added to " in exported.output) == (0, True), exported.output


def test_down_says_how_containers_are_stopped(orders: str) -> None:
    stopped = CliRunner().invoke(app, ["down"])
    assert (stopped.exit_code, "docker compose down" in stopped.output) == (1, True)


@pytest.mark.parametrize(
    "command", [["status"], ["order", "cola"], ["seed", "--items", "1"], ["redrive", "orders"], ["export", "--to", "x"]]
)
def test_a_command_says_that_nothing_runs_when_nobody_answers(nobody: None, command: list[str]) -> None:
    said = CliRunner().invoke(app, command)
    assert (said.exit_code, "./sliceline up" in said.output) == (1, True)


ASKED = """#!/bin/sh
[ "$*" = "compose run --rm --no-deps -T migrate deployment.passwords $8" ] && echo "of-$8
authorities" && exit
echo "no volume" >&2
exit 1
"""


def test_a_password_is_asked_of_the_containers_that_have_it(
    orders: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text(ASKED)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    at = f"127.0.0.1:{FIXED['postgres']}/orders"
    monkeypatch.setattr("cli.databases.CA_FILE", known := tmp_path / "known" / "ca.pem")
    said = CliRunner().invoke(app, ["psql", "orders", "--url"])
    assert said.output.strip() == f"postgresql://{READER}:of-{READER}@{at}?sslmode=verify-full&sslrootcert={known}"
    assert known.read_text() == "authorities\n"
    said = CliRunner().invoke(app, ["psql", "orders", "--url", "--as", "service"])
    assert said.output.strip() == f"postgresql://orders:of-orders@{at}?sslmode=verify-full&sslrootcert={known}"
    said = CliRunner().invoke(app, ["psql", "orders", "--env"])
    assert f" PGSSLMODE=verify-full PGSSLROOTCERT={known}" in said.output
    (tmp_path / "docker").write_text(ASKED.replace("echo", "false && echo"))
    said = CliRunner().invoke(app, ["psql", "orders", "--url"])
    assert (said.exit_code, "do not tell it" in said.output) == (1, True)


IDENTITY = """#!/bin/sh
[ "$1 $2 $3 $4 $5 $6" = "compose exec -T identity python -c" ] && exec python3 -c 'print("of-ada")'
exit 1
"""


def test_a_persons_password_is_read_in_the_container_that_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text(IDENTITY)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    shop = Shop("running", {}, in_containers=True)
    assert login._password(shop, "ada") == "of-ada"
    (tmp_path / "docker").write_text("#!/bin/sh\necho no such container >&2; exit 1\n")
    with pytest.raises(login.NotLetIn, match="in a volume of the containers: no such container"):
        login._password(shop, "ada")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(login.NotLetIn, match=r"no `docker` here .* Set SLICELINE_TOKEN"):
        login._password(shop, "ada")


def test_a_shop_in_containers_has_an_identity_provider_where_one_answers_and_no_other_is_named(
    orders: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLICELINE_ISSUER", raising=False)
    assert "identity" not in running_shop().rows
    monkeypatch.setitem(FIXED, "identity", CATALOGUE["orders"])  # something that is alive
    assert running_shop().rows["identity"].address == orders
    monkeypatch.setenv("SLICELINE_ISSUER", "https://id.test")
    assert "identity" not in running_shop().rows


def test_logs_are_those_of_the_shop_that_answers_and_not_of_an_old_run(
    orders: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[str] = []
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("os.execv", lambda program, arguments: became.extend([program, *arguments[1:]]))
    CliRunner().invoke(app, ["logs", "orders", "--lines", "5"])
    assert became[:2] == [str(tmp_path / "docker"), "compose"]
    assert became[2:] == ["logs", "--no-log-prefix", "--tail=5", "orders"]
