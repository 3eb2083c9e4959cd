"""`./sliceline token`, and commands where services let nobody in without one, with the sandbox's identity provider."""

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from typer.testing import CliRunner, Result

from cli import asking, login
from cli.__main__ import app
from deployment import people
from local import probes, programs
from local.layout import Layout
from local.ports import HOST, free_port
from local.program import Program, python, run
from tests.conftest import NewDatabase
from tests.integration.standing_in import standing_in_for

PLACE = ("order", "margherita", "--customer")


@dataclass
class Closed:
    """An identity provider and orders, which takes its tokens; `logs` are what both have said."""

    home: Path
    addresses: Mapping[str, str]
    logs: list[Path]

    def get(self, token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{self.addresses['orders']}/orders", headers=headers, trust_env=False)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> Iterator[Closed]:
    home = tmp_path_factory.mktemp("closed")
    folder, logs = home / "identity", home / "logs"
    logs.mkdir()
    ports = {name: free_port() for name in ("identity", "orders")}
    addresses = {name: f"http://{HOST}:{port}" for name, port in ports.items()}
    env = {
        "SLICELINE_HOST": HOST,
        "SLICELINE_PORT": str(ports["orders"]),
        "SLICELINE_DATABASE_URL": new_database("orders"),
        "SLICELINE_ISSUER": addresses["identity"],
        "SLICELINE_ISSUER_KEYS": "",
        "SLICELINE_ISSUER_TOKENS": "",
    }
    ready = functools.partial(probes.http_ready, ports["orders"])
    orders = Program("orders", python("-m", "services.orders.service", "--roles", "api"), ready, env)
    with ExitStack() as stack:
        for program in (programs.identity(ports["identity"], folder), orders):
            server = run(program, logs / f"{program.name}.log")
            stack.callback(server.stop)
        yield Closed(home, addresses, sorted(logs.iterdir()))


@pytest.fixture
def closed(processes: Closed, monkeypatch: pytest.MonkeyPatch) -> Closed:
    """The commands' own shop is the one of `processes`, as far as a test lets it stand."""
    monkeypatch.setattr("cli.running.HOME", processes.home)
    monkeypatch.setattr("cli.login.layout_for", lambda offset: Layout(offset, home=processes.home))
    monkeypatch.delenv("SLICELINE_TOKEN", raising=False)
    monkeypatch.delenv("SLICELINE_ISSUER", raising=False)
    return processes


@pytest.fixture
def shop(closed: Closed) -> Iterator[Closed]:
    with standing_in_for(closed.home, closed.addresses):
        yield closed


@pytest.fixture
def elsewhere(closed: Closed) -> Iterator[Closed]:
    """A shop that takes tokens of a provider which is not its own."""
    orders = {"orders": closed.addresses["orders"]}
    with standing_in_for(closed.home, orders, issuer="https://keycloak.test/realms/shop"):
        yield closed


def say(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def token(who: str) -> str:
    """What is printed, which is a token and nothing else."""
    said = say("token", "--as", who)
    assert (said.exit_code, said.stderr) == (0, "")
    [line] = said.stdout.splitlines()
    return line


def sentence(said: Result) -> str:
    """The one line with which a command has ended."""
    assert isinstance(said.exception, SystemExit)
    assert said.exit_code == 1
    [line] = said.output.splitlines()
    return line


def test_a_token_is_let_in_for_what_its_role_may_and_nothing_else(shop: Closed) -> None:
    assert say(*PLACE, "ada").exit_code == 0
    assert shop.get(token("courier")).status_code == 403
    assert shop.get(token("reader")).json()["items"] != []
    assert shop.get(token("ben")).json()["items"] == []  # a customer sees his own
    assert len(say("token").stdout.splitlines()) == 1


def test_a_command_asks_as_an_administrator_where_nobody_has_said_as_whom(shop: Closed) -> None:
    said = say(*PLACE, "cora")
    assert (said.exit_code, "placed" in said.output) == (0, True), said.output
    assert "--as reader" in said.output  # what it says to follow the order by lets in as well
    assert [each["customer"]["id"] for each in shop.get(token("reader")).json()["items"]].count("cora") == 1
    told = json.loads(say("status", "--json").stdout)["processes"]["orders"]
    assert (told["parked"], told["backlog"]["parked"]["events"]) == (0, 0)


def test_a_command_asks_as_whoever_the_token_in_the_environment_is_of(
    shop: Closed, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = token("ada")
    monkeypatch.setenv("SLICELINE_TOKEN", given)
    assert say(*PLACE, "ada").exit_code == 0
    refused = sentence(say(*PLACE, "ben"))
    assert refused.startswith("POST /orders was refused with 403: ")
    assert "ada's alone" in refused
    assert "$(./sliceline token --as ROLE)" in refused
    assert given not in refused
    assert "scope operations.act" in sentence(say("pause", "orders", "--reason", "tea"))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (
            "x.y.z",
            "was refused with 401: The token is refused. It is not sound: decode_error. Tokens are those of http:",
        ),
        ("Bearer x", "holds no token"),
        ("ü", "holds no token"),
    ],
)
def test_a_token_that_is_none_is_told_in_a_sentence(
    shop: Closed, monkeypatch: pytest.MonkeyPatch, given: str, why: str
) -> None:
    monkeypatch.setenv("SLICELINE_TOKEN", given)
    refused = sentence(say(*PLACE, "ada"))
    assert why in refused
    assert "export SLICELINE_TOKEN=$(./sliceline token --as ROLE)" in refused


def test_whoever_has_no_token_is_told_where_one_is_got(elsewhere: Closed) -> None:
    refused = sentence(say(*PLACE, "ada"))
    assert refused.startswith("POST /orders was refused with 401: ")
    assert "SLICELINE_TOKEN=$(./sliceline token" in refused
    [unknown] = json.loads(say("status", "--json").stdout)["processes"]["orders"]["needs"]
    assert "what waits there is not known: GET /backlog was refused with 401" in unknown
    none = say("token")
    assert (none.stdout, "given by https://keycloak.test/realms/shop" in sentence(none)) == ("", True)


def test_where_nobody_needs_a_token_that_is_said(closed: Closed) -> None:
    with standing_in_for(closed.home, {"orders": closed.addresses["orders"]}):
        none = say("token")
    assert (none.stdout, "asks nobody for a token" in sentence(none)) == ("", True)


def test_where_nothing_runs_that_is_said(closed: Closed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.running._in_containers", lambda: None)
    assert "Sliceline is not running." in sentence(say("token"))


def test_a_command_that_lasts_longer_than_its_token_gets_another(shop: Closed, monkeypatch: pytest.MonkeyPatch) -> None:
    coming = iter(["over.over.over"])
    monkeypatch.setattr(asking, "token_of", lambda *whose: next(coming, "") or login.token_of(*whose))
    with asking.opened(shop.addresses["orders"], timeout=10) as client:
        assert [client.get("/orders").status_code for _ in range(2)] == [200, 200]


def test_an_administrators_token_is_sent_to_nobody_but_the_shops_services(shop: Closed) -> None:
    asked = {**shop.addresses, "partner": "http://partner.test:8001"}
    assert [name for name, address in asked.items() if "authorization" in _sent(address)] == ["orders"]


def _sent(address: str) -> httpx.Headers:
    return next(asking.Bearer().sync_auth_flow(httpx.Request("GET", f"{address}/rules"))).headers


def test_nobody_of_that_name_or_role_is_told_who_there_is(shop: Closed) -> None:
    said = say("token", "--as", "chef")
    assert (said.exit_code, said.stdout) == (2, "")
    assert "Roles: customer, kitchen," in said.stderr
    assert all(name in said.stderr for name in people.people())


def test_the_help_of_token_names_all_roles_that_somebody_has() -> None:
    held = dict.fromkeys(role for theirs in people.people().values() for role in theirs)
    assert f"({', '.join(held)})" in " ".join(say("token", "--help").stdout.replace("│", " ").split())


def test_a_provider_that_does_not_let_somebody_in_is_told_in_a_sentence(
    closed: Closed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standing_in_for(closed.home, {"identity": f"http://{HOST}:{free_port()}"}):
        assert sentence(say("token")).startswith("The identity provider gives no token (")
    with standing_in_for(closed.home, closed.addresses):
        monkeypatch.setattr("cli.login.layout_for", lambda offset: Layout(offset, home=tmp_path))
        assert "The password of ada cannot be read" in sentence(say("token"))
        another = tmp_path / "identity" / "people" / "ada" / "password"
        another.parent.mkdir(parents=True)
        another.write_text("another\n")
        assert "does not log ada in (403)" in sentence(say("token"))


def test_neither_a_password_nor_a_token_is_logged_or_among_arguments(shop: Closed) -> None:
    secrets = [each.read_text().strip() for each in (shop.home / "identity" / "people").glob("*/password")]
    given = token("admin")
    assert shop.get(given).status_code == 200
    assert len(secrets) == len(people.people())
    said = [log.read_text() for log in shop.logs]
    assert "alma logged in for sliceline-cli" in said[0]
    assert "started" in said[1]
    arguments = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    assert any("sandbox.identity" in each for each in arguments)
    everywhere = "\n".join([*said, *arguments])
    assert [each for each in (*secrets, given.rpartition(".")[2]) if each in everywhere] == []
