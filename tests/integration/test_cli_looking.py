"""`./sliceline events` and `psql`, against a real Kafka and a real Postgres."""

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from backbone.publishing.relay import Relay
from backbone.values.brokers import Brokers
from backbone.values.passwords import apart
from cli.__main__ import app
from cli.running import Shop
from deployment.roles import READER
from local.layout import Layout
from tests.conftest import NewDatabase
from tests.integration.things import Things, create_topic, running


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, kafka: Brokers) -> None:
    """A shop that runs, as far as these commands look at it."""
    for user in ("events", "psql"):
        monkeypatch.setattr(f"cli.{user}.running_shop", lambda: Shop("running", {}))
    monkeypatch.setattr("cli.events.layout_for", lambda offset: Layout(offset, None, kafka))


async def _events(*arguments: str) -> list[str]:
    """What the command prints, without the times; run as a person would, beside this loop."""
    said = await asyncio.to_thread(CliRunner().invoke, app, ["events", *arguments])
    assert said.exit_code == 0, said.output
    return [re.sub(r"^\S+ +", "", line) for line in said.output.splitlines()]


@pytest.fixture
async def published(thing: Things, shop: None, monkeypatch: pytest.MonkeyPatch) -> Things:
    """Five events of two keys, in the topic of a service that the commands know."""
    for user in ("events", "running"):
        monkeypatch.setattr(f"cli.{user}.CATALOGUE", {thing.name: 8000})
    for number in range(4):
        await thing.publish(f"key-{number % 2}", number)
    async with running(Relay(thing.database, thing.kafka)):
        await thing.published(4)
        await thing.publish("key-0", 4)
        await thing.published(5)
    return thing


async def test_events_of_one_key_are_shown_from_the_first_in_their_order(published: Things) -> None:
    shown = await _events("--key", "key-0")
    assert [line[-12:] for line in shown] == ['{"number":0}', '{"number":2}', '{"number":4}']
    assert all(line.startswith(f"{published.name}.thing-happened.v1 ") and " key-0 " in line for line in shown)


async def test_events_shows_the_last_ones_of_a_topic(published: Things) -> None:
    assert [line[-12:] for line in await _events(published.name, "--lines", "1")] == ['{"number":4}']
    assert len(await _events(f"{published.name}.events", "-n", "100")) == 5
    assert await _events("--key", "key-2") == await _events("-n", "0") == []


async def test_events_of_a_topic_that_is_not_there_names_all_that_are_also_those_of_partners(
    thing: Things, shop: None
) -> None:
    own = f"partner.{thing.name}.events"
    await create_topic(thing.kafka, own, 3)
    said = await asyncio.to_thread(CliRunner().invoke, app, ["events", "nope"])
    assert (said.exit_code, f"{own}" in said.stderr, "orders.events" in said.stderr) == (2, True, True)


async def test_a_kafka_that_is_named_is_read_though_no_shop_runs(
    published: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.events.running_shop", lambda: pytest.fail("no shop is asked for"))
    assert len(await _events(published.name, "-n", "100")) == 5


async def test_events_tells_where_a_record_is_that_holds_none(published: Things) -> None:
    async with published.raw_producer() as producer:
        await producer.send_and_wait(published.topic, b"{}", key=b"key-9", partition=1)
    [line] = await _events("--key", "key-9")
    assert re.match(rf"{published.topic} partition 1 offset \d+ holds no event: ", line)


async def test_events_says_which_topics_there_are(published: Things) -> None:
    said = await asyncio.to_thread(CliRunner().invoke, app, ["events", "pizza"])
    assert (said.exit_code, published.name in said.output) == (2, True)


def test_events_says_that_kafka_does_not_answer(shop: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.events.layout_for", lambda offset: Layout(offset, None, Brokers("127.0.0.1:1")))
    said = CliRunner().invoke(app, ["events"])
    assert (said.exit_code, "Kafka at 127.0.0.1:1 cannot be read" in said.output) == (1, True)


@pytest.fixture
def orders(shop: None, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    url = new_database("orders")
    monkeypatch.setattr("cli.psql.url_of", lambda _, service, __: url if service == "orders" else "")
    return url


def test_psql_prints_the_rows_of_a_statement(orders: str) -> None:
    said = CliRunner().invoke(app, ["psql", "orders", "-c", "SELECT item, price FROM menu WHERE item = 'margherita'"])
    assert (said.exit_code, said.output.split()[:3]) == (0, ["item", "price", "margherita"])


def test_psql_says_what_a_statement_without_rows_did(orders: str) -> None:
    said = CliRunner().invoke(app, ["psql", "orders", "-c", "DELETE FROM outbox"])
    assert (said.exit_code, said.output.strip()) == (0, "DELETE 0")


@pytest.mark.parametrize("statement", ["SELEC 1", "SELECT 1; SELECT 2", "SELECT * FROM nowhere"])
def test_psql_says_what_is_wrong_with_a_statement(orders: str, statement: str) -> None:
    said = CliRunner().invoke(app, ["psql", "orders", "-c", statement])
    assert (said.exit_code, "Traceback" in said.output) == (1, False)


def test_psql_gives_the_address_to_another_client(orders: str) -> None:
    said = CliRunner().invoke(app, ["psql", "orders", "--url"])
    assert urlsplit(said.output.strip()) == urlsplit(orders)


def test_psql_is_opened_on_the_services_database(orders: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    became: dict[str, Any] = {}
    (tmp_path / "psql").write_text("#!/bin/sh\n")
    (tmp_path / "psql").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.execve", lambda _, arguments, env: became.update(arguments=arguments, env=env))
    CliRunner().invoke(app, ["psql", "orders"])
    bare, password = apart(orders)
    assert became["arguments"] == [str(tmp_path / "psql"), bare]
    assert f":{password}@" not in bare
    assert became["env"]["PGPASSWORD"] == password


@pytest.mark.parametrize(
    ("words", "expected"), [([], READER), (["--as", "service"], "orders"), (["--as", "owner"], "orders_owner")]
)
def test_psql_reads_unless_it_is_told_that_it_may_do_more(
    shop: None, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: str
) -> None:
    monkeypatch.setattr("cli.psql.url_of", lambda _, __, role: role)
    assert CliRunner().invoke(app, ["psql", "orders", "--url", *words]).output.strip() == expected


def test_psql_gives_the_address_to_a_shell(shop: None, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://reader:it%27s%20%24HOME@127.0.0.1:15432/orders"
    monkeypatch.setattr("cli.psql.url_of", lambda *_: url)
    said = CliRunner().invoke(app, ["psql", "orders", "--env"]).output
    shown = subprocess.run(["sh", "-c", f"{said}\nenv | grep ^PG | sort"], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == [
        "PGDATABASE=orders",
        "PGHOST=127.0.0.1",
        "PGPASSWORD=it's $HOME",
        "PGPORT=15432",
        "PGUSER=reader",
    ]


def test_psql_says_what_to_do_without_a_client(orders: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = CliRunner().invoke(app, ["psql", "orders"])
    assert (said.exit_code, "psql orders --url" in said.output) == (1, True)
