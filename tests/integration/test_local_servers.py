"""The servers that run without Docker: they must find their data again whatever happened to them."""

from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from backbone.values.brokers import Brokers
from local import kafka, postgres
from local.ports import free_port


async def run_sql(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def topics(brokers: Brokers, create: str | None = None) -> list[str]:
    admin = AIOKafkaAdminClient(**brokers.client())
    await admin.start()
    try:
        if create:
            await admin.create_topics([NewTopic(create, 3, 1)])
        return list(await admin.list_topics())
    finally:
        await admin.close()


async def test_postgres_that_was_killed_keeps_what_was_committed(tmp_path: Path) -> None:
    first = postgres.start(tmp_path / "pg")
    try:
        assert await run_sql(first.url, "SHOW fsync") == "on"
        await run_sql(first.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    finally:
        first.server.kill()
    second = postgres.start(tmp_path / "pg", free_port())
    try:
        assert await run_sql(second.url, "SELECT answer FROM kept") == 42
    finally:
        second.stop()


async def test_postgres_starts_although_its_old_pid_belongs_to_somebody_else_now(tmp_path: Path) -> None:
    postgres.prepare(tmp_path / "pg")
    (tmp_path / "pg" / "data" / "postmaster.pid").write_text("1\n")
    server = postgres.start(tmp_path / "pg")
    server.stop()


async def test_kafka_that_was_killed_keeps_its_topics_and_may_move_to_other_ports(tmp_path: Path) -> None:
    first = kafka.start(tmp_path / "kafka")
    try:
        await topics(first.admin, create="kept.events")
    finally:
        first.server.kill()
    second = kafka.start(tmp_path / "kafka")
    try:
        assert "kept.events" in await topics(second.admin)
    finally:
        second.stop()


@pytest.mark.long
def test_a_start_of_kafka_takes_over_the_classes_that_the_first_one_wrote_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "HOME", tmp_path)
    outdated = tmp_path / "kafka-of-another-version.classes"
    outdated.touch()
    for _ in range(2):
        broker = kafka.start(tmp_path / "kafka")
        try:
            [classes] = tmp_path.glob("*.classes")
            assert f"-XX:AOTCache={classes}" in psutil.Process(broker.server.pid).cmdline()
        finally:
            broker.server.kill()
    assert not outdated.exists()


@pytest.mark.long
def test_a_broken_file_of_classes_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "torn.classes"
    broken.write_bytes(b"half")
    monkeypatch.setattr(kafka, "_archive", lambda _classpath: broken)
    kafka.start(tmp_path / "kafka").stop()


def test_classes_that_cannot_be_written_down_are_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "HOME", tmp_path)
    (tmp_path / "classes.new").touch()  # a file where a directory is needed
    said: list[str] = []
    kafka.remember_classes(said.append)
    assert said[-1].startswith("later starts will be as slow as this one: ")
    assert not list(tmp_path.glob("*.classes"))
