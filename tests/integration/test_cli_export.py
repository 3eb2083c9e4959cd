"""`./sliceline export` as a person meets it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from backbone.values.brokers import Brokers
from local.program import python
from tests.exporting import Topic, event
from tests.integration.things import create_topic

TO = "--to"
STOPPED = """
import os, sys
from cli.__main__ import app
from cli.exporting import folder, reading

add = folder.Chunk.add
def stopped(*arguments):
    os.kill(os.getpid(), {number})
    add(*arguments)

reading.PIECE, folder.Chunk.add = 1, stopped
app(["export", "--to", {to!r}])
"""


def _said(kafka: Brokers, *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, **kafka.environment()}
    return subprocess.run(python(*arguments), env=env, capture_output=True, text=True)


def _exported(kafka: Brokers, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return _said(kafka, "-m", "cli", "export", *arguments)


@pytest.fixture
async def topic(kafka: Brokers, orders_topic: None, tmp_path: Path) -> Topic:
    """The topic of orders with two events, which other tests of this file may have put there."""
    topic = Topic(kafka, tmp_path / "folder", "orders.events")
    await topic.publish(event(), event())
    return topic


async def test_an_export_says_what_it_added_and_needs_no_shop_where_a_kafka_is_named(topic: Topic) -> None:
    said = _exported(topic.kafka, TO, str(topic.folder))
    assert (said.returncode, f"{len(topic.ids())} events added to {topic.folder}, in 1 file." in said.stdout) == (
        0,
        True,
    )
    again = _exported(topic.kafka, TO, str(topic.folder), "--since", "2026-11-27")
    assert again.stdout.startswith("0 events added to ")


async def test_the_topics_of_all_buses_are_exported_and_nobody_elses(topic: Topic) -> None:
    told, foreign = (Topic(topic.kafka, topic.folder, name) for name in ("partner.acme.events", "anybody"))
    for each in (told, foreign):
        await create_topic(topic.kafka, each.name, 3)  # as buses.toml has them for partners: others migrate here
        await each.publish(event())
    assert _exported(topic.kafka, TO, str(topic.folder)).returncode == 0
    assert {row["topic"] for row in topic.rows()} == {"orders.events", "partner.acme.events"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_export_that_is_stopped_says_how_to_go_on_and_goes_on(topic: Topic, number: int) -> None:
    stopped = _said(topic.kafka, "-c", STOPPED.format(number=int(number), to=str(topic.folder)))
    assert (stopped.returncode, "Traceback" in stopped.stderr) == (130, False)
    assert f"goes on from there: ./sliceline export --to {topic.folder}" in stopped.stderr
    assert _exported(topic.kafka, TO, str(topic.folder)).returncode == 0
    assert len(topic.ids()) == len(set(topic.ids())) >= 2


async def test_an_export_says_what_is_wrong(kafka: Brokers, tmp_path: Path) -> None:
    (tmp_path / "day=2026-11-20").mkdir()
    (tmp_path / "a file").write_text("")
    wrong = {
        "127.0.0.1:1 cannot be read": _exported(Brokers("127.0.0.1:1"), TO, str(tmp_path / "folder")),
        "Choose another folder": _exported(kafka, TO, str(tmp_path)),
        "cannot be written": _exported(kafka, TO, str(tmp_path / "a file" / "folder")),
    }
    for sentence, said in wrong.items():
        assert (said.returncode, sentence in said.stderr, "Traceback" in said.stderr) == (1, True, False), said.stderr


def test_an_export_that_failed_names_the_same_command_with_its_since(tmp_path: Path) -> None:
    failed = _exported(Brokers("127.0.0.1:1"), TO, str(tmp_path / "folder"), "--since", "2026-11-20")
    assert f"./sliceline export --to {tmp_path / 'folder'} --since 2026-11-20" in failed.stderr
