"""Tables that are ahead of the code, and migrations that fail: said in a sentence, by every way that leads there."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from alembic import command

import services
from backbone.storage import migrations
from backbone.storage.migrations import MigrationFailed
from backbone.values.brokers import Brokers
from local import ROOT

BACKBONE = sorted(file.name for file in (Path(migrations.__file__).parent / "versions").glob("0*.py"))

FIRST = """
from alembic import op
revision = "{name}_0001"
down_revision = None
def upgrade(): op.execute("CREATE TABLE pantry (item text)")
"""
SECOND = """
from alembic import op
revision = "{name}_0002"
down_revision = "{name}_0001"
def upgrade(): op.execute("ALTER TABLE pantry ADD COLUMN shelf text")
"""
THIRD = """
from alembic import op
revision = "{name}_0003"
down_revision = "{name}_0002"
def upgrade(): op.execute("ALTER TABLE pantry ADD COLUMN tofu bigint")
"""

SERVICE = """
from types import SimpleNamespace
SERVICE = SimpleNamespace(skips_old_events=False)
"""
"""All that `migrate` asks of a service, and only where topics of other tests hold something already."""


@dataclass
class Pantry:
    """A service of nothing but tables."""

    name: str
    folder: Path
    url: str

    def write(self, **files: str) -> None:
        for name, content in files.items():
            (self.folder / f"{name.removeprefix('_')}.py").write_text(content.format(name=self.name))

    def upgrade(self) -> list[str]:
        return migrations.upgrade(self.name, self.url)

    def refusal(self) -> str:
        with pytest.raises(MigrationFailed) as failed:
            self.upgrade()
        return str(failed.value)

    def fetch(self, query: str) -> list[Any]:
        return [row[0] for row in asyncio.run(_fetch(self.url, query))]

    @property
    def heads(self) -> set[str]:
        return set(self.fetch("SELECT version_num FROM alembic_version"))

    @property
    def columns(self) -> set[str]:
        return set(self.fetch("SELECT column_name FROM information_schema.columns WHERE table_name = 'pantry'"))


async def _fetch(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


@pytest.fixture
def pantry(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pantry:
    name = f"pantry{uuid4().hex[:8]}"
    folder = tmp_path / name / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "service.py").write_text(SERVICE)
    monkeypatch.setattr(services, "__path__", [*services.__path__, str(tmp_path)])
    asyncio.run(_fetch(postgres, f'CREATE DATABASE "{name}"'))
    made = Pantry(name, folder, f"{postgres.rsplit('/', 1)[0]}/{name}")
    made.write(_0001=FIRST, _0002=SECOND)
    return made


def test_tables_that_are_a_release_ahead_are_said_and_left_as_they_are(pantry: Pantry) -> None:
    pantry.write(_0003=THIRD)
    assert pantry.upgrade() == []
    (pantry.folder / "0003.py").unlink()
    [said] = pantry.upgrade()
    assert said.startswith(f"{pantry.name}'s database is ahead of this code: it is at {pantry.name}_0003, ")
    assert "goes on" in said
    assert f"{pantry.name}_0003" in pantry.heads
    assert "tofu" in pantry.columns


def test_a_rollback_that_is_rolled_forward_again_finds_nothing_to_do(pantry: Pantry) -> None:
    pantry.write(_0003=THIRD)
    pantry.upgrade()
    (pantry.folder / "0003.py").unlink()
    pantry.upgrade()
    pantry.write(_0003=THIRD)
    assert pantry.upgrade() == []


def test_tables_of_the_backbone_that_are_ahead_are_said_and_the_service_s_own_are_brought_up_to_date(
    pantry: Pantry,
) -> None:
    pantry.upgrade()
    pantry.fetch("UPDATE alembic_version SET version_num = 'backbone_9999' WHERE version_num LIKE 'backbone%'")
    pantry.write(_0003=THIRD)
    [said] = pantry.upgrade()
    assert "it is at backbone_9999" in said
    assert pantry.heads == {"backbone_9999", f"{pantry.name}_0003"}
    assert "tofu" in pantry.columns


def test_tables_of_the_service_that_are_ahead_are_said_and_the_backbone_s_are_brought_up_to_date(
    pantry: Pantry,
) -> None:
    pantry.upgrade()
    command.downgrade(migrations.config_of(pantry.name, pantry.url), "backbone_0001")
    pantry.fetch("UPDATE alembic_version SET version_num = 'f00d' WHERE version_num LIKE 'pantry%'")
    [said] = pantry.upgrade()
    assert "it is at f00d" in said
    assert "backbone_0001" not in pantry.heads
    assert pantry.fetch("SELECT count(*) FROM pg_indexes WHERE indexname = 'jobs_failing'") == [1]


def test_both_lines_ahead_are_one_sentence(pantry: Pantry) -> None:
    pantry.upgrade()
    pantry.fetch("UPDATE alembic_version SET version_num = version_num || '_next'")
    [said] = pantry.upgrade()
    assert f"{pantry.name}_0002_next" in said


def test_a_database_that_knows_nothing_of_ours_is_refused(pantry: Pantry) -> None:
    pantry.fetch("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)")
    pantry.fetch("INSERT INTO alembic_version VALUES ('somebody_elses')")
    assert "its database is at somebody_elses, unknown here" in pantry.refusal()


FAILING = {
    "a table that is not there": ('op.execute("ALTER TABLE larder ADD x int")', 'relation "larder" does not exist'),
    "an error of its own": ("1 / 0", "ZeroDivisionError: division by zero"),
}


@pytest.mark.parametrize(("failing", "reason"), FAILING.values(), ids=FAILING)
def test_a_step_that_fails_is_named_and_changes_nothing_and_once_mended_it_goes_on_from_there(
    pantry: Pantry, failing: str, reason: str
) -> None:
    pantry.write(_0003_tofu=f"{THIRD}    {failing}\n".replace("upgrade(): ", "upgrade():\n    "))
    said = pantry.refusal()
    assert said.startswith(f"{pantry.name}, 0003_tofu.py: ")
    assert reason in said
    assert "\n" not in said
    assert f"{pantry.name}_0002" in pantry.heads
    assert pantry.columns == {"item", "shelf"}
    pantry.write(_0003_tofu=THIRD)
    assert pantry.upgrade() == []
    assert pantry.columns == {"item", "shelf", "tofu"}


BROKEN = {
    "a syntax error": ('"{name}_0003"\ndef upgrade(:', "SyntaxError: "),
    "a module that is not there": ('"{name}_0003"\nimport tofu_of_nowhere', "No module named 'tofu_of_nowhere'"),
    "a revision used twice": (
        '"{name}_0002"\ndown_revision = "{name}_0001"\ndef upgrade(): pass',
        "its revision '{name}_0002' is that of 0002.py already",
    ),
    "no down_revision": (
        '"{name}_0003"\ndef upgrade(): pass',
        "its down_revision is None; it follows 0002.py, so '{name}_0002' is expected",
    ),
    "a down_revision that is not there": (
        '"{name}_0003"\ndown_revision = "{name}_0009"\ndef upgrade(): pass',
        "its down_revision is '{name}_0009'; it follows 0002.py",
    ),
    "a fork": (
        '"{name}_0003"\ndown_revision = "{name}_0001"\ndef upgrade(): pass',
        "its down_revision is '{name}_0001'; it follows 0002.py",
    ),
    "no revision": ("None\ndef upgrade(): pass", "it names no revision"),
    "no upgrade": ('"{name}_0003"\ndown_revision = "{name}_0002"', "it has no upgrade()"),
    "a revision of the backbone": ('"backbone_0001"', f"its revision 'backbone_0001' is that of {BACKBONE[0]} already"),
}


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_line_that_is_broken_is_named_with_its_service_and_file_and_changes_nothing(
    pantry: Pantry, content: str, reason: str
) -> None:
    pantry.write(_0003_tofu=f"revision = {content}\n")
    said = pantry.refusal()
    assert said.startswith(f"{pantry.name}, 0003_tofu.py: ")
    assert reason.format(name=pantry.name) in said
    assert "\n" not in said
    assert pantry.fetch("SELECT 1 FROM information_schema.tables WHERE table_name = 'pantry'") == []


def test_a_migration_waits_only_a_few_seconds_for_a_lock_that_somebody_holds(pantry: Pantry) -> None:
    pantry.upgrade()
    pantry.write(_0003_tofu=THIRD)
    with held(pantry.url):
        assert pantry.refusal().startswith(f"{pantry.name}, 0003_tofu.py: somebody else holds what it changes")
    pantry.upgrade()
    assert "tofu" in pantry.columns


@contextmanager
def held(url: str, reading: str = "SELECT FROM pantry") -> Iterator[None]:
    """Somebody reads in a transaction and forgets to end it."""
    runner = asyncio.Runner()
    connection = runner.run(asyncpg.connect(url))
    runner.run(connection.execute(f"BEGIN; {reading}"))
    try:
        yield
    finally:
        runner.run(connection.close())
        runner.close()


def test_a_database_that_does_not_answer_is_named_with_its_service(pantry: Pantry) -> None:
    pantry.url = "postgresql://nobody@127.0.0.1:9/nothing"
    assert pantry.refusal().startswith(f"{pantry.name}: ConnectionRefusedError")


TOLD: dict[str, str] = {}
"""What a test tells the command in the place of the usual."""
Migrating = Callable[[], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def migrating(pantry: Pantry, postgres: str, kafka: Brokers) -> Migrating:
    """`python -m deployment.migrate` as `up` and compose run it, where the pantry is all there is."""
    start = (
        f"import services; services.__path__.append({str(pantry.folder.parent.parent)!r}); "
        f"services.CATALOGUE = {{{pantry.name!r}: 1}}; from deployment.migrate import main; main()"
    )
    told = {"SLICELINE_POSTGRES_URL": postgres, **kafka.environment(), "PYTHONPATH": str(ROOT)}
    told["SLICELINE_PASSWORDS"] = str(pantry.folder.parent / "passwords")

    def run() -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-P", "-c", start]
        return subprocess.run(command, env={**os.environ, **told, **TOLD}, capture_output=True, text=True, timeout=60)

    asyncio.run(_fetch(postgres, f'DROP DATABASE "{pantry.name}"'))  # it is made by the command, for the service's role
    return run


def test_the_command_fails_in_one_sentence_and_goes_on_where_the_database_is_ahead(
    pantry: Pantry, migrating: Migrating
) -> None:
    pantry.write(_0003_tofu="def upgrade(: pass")
    failed = migrating()
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"migrate: {pantry.name}, 0003_tofu.py: SyntaxError")
    assert "Traceback" not in failed.stderr
    pantry.write(_0003_tofu=THIRD)
    assert migrating().returncode == 0
    (pantry.folder / "0003_tofu.py").unlink()
    rolled_back = migrating()
    assert (rolled_back.returncode, rolled_back.stderr) == (0, "")
    assert f"note: {pantry.name}'s database is ahead of this code" in rolled_back.stdout


@pytest.mark.parametrize("url", ["postgresql://postgres:se/cret@127.0.0.1/postgres", "postgres:secret@127.0.0.1"])
def test_an_address_that_is_none_is_refused_without_being_shown(
    migrating: Migrating, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setitem(TOLD, "SLICELINE_POSTGRES_URL", url)
    failed = migrating()
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("SLICELINE_POSTGRES_URL must be of the shape ")
    assert "cret" not in failed.stderr


@pytest.mark.parametrize("text", ["three", "0", "-1", "1.5", "99999", "9" * 5000, "٣"])
def test_brokers_that_cannot_be_so_many_are_refused_in_one_sentence(
    migrating: Migrating, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SLICELINE_KAFKA_REPLICATION", text)
    failed = migrating()
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"migrate: SLICELINE_KAFKA_REPLICATION is {text};")
    assert "Traceback" not in failed.stderr
