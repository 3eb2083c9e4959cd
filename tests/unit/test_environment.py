"""`./sliceline` where nothing is installed yet, and what its environments hold."""

import ast
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from typer.main import get_command

from cli import outline
from cli.__main__ import app
from local import ROOT

OURS = {"backbone", "bench", "cli", "deployment", "local", "sandbox", "services"}
EXPORTING = "cli/exporting"
PINNED = re.compile(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A clone in which no command was given yet."""
    for name in ("sliceline", "requirements.lock", "requirements.export.lock", "requirements.local.lock"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("backbone", "cli"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def _say(fresh: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    said = subprocess.run([sys.executable, fresh / "sliceline", *arguments], capture_output=True, text=True)
    assert not (fresh / ".venv").exists()
    assert not (fresh / ".sliceline").exists()
    return said


@pytest.mark.parametrize("asked", [["--help"], ["-h"], []])
def test_help_needs_no_environment(fresh: Path, asked: list[str]) -> None:
    said = _say(fresh, *asked)
    assert said.returncode == 0
    assert all(f"\n  {name} " in said.stdout for name in outline.commands())


@pytest.mark.parametrize("command", ["up", "order", "bench"])
def test_help_of_a_command_needs_no_environment(fresh: Path, command: str) -> None:
    said = _say(fresh, command, "--help")
    assert (said.returncode, f"Usage: ./sliceline {command}" in said.stdout) == (0, True)


def test_a_word_that_is_no_command_installs_nothing(fresh: Path) -> None:
    said = _say(fresh, "pu")
    assert (said.returncode, "no command 'pu'" in said.stderr) == (1, True)


@pytest.mark.parametrize("name", outline.commands())
def test_the_outline_of_a_command_tells_all_that_it_takes(name: str) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    options = [option for each in command.params for option in (*each.opts, *each.secondary_opts)]
    assert [each for each in options if each.startswith("-") and each not in outline.help_of(name)] == []


def test_the_outline_knows_every_command() -> None:
    assert outline.commands().keys() == get_command(app).commands.keys()  # type: ignore[attr-defined]


def _pinned(lock: str) -> dict[str, str]:
    return dict(PINNED.findall((ROOT / lock).read_text()))


@pytest.mark.parametrize("part", ["requirements.local.lock", "requirements.export.lock", "requirements.image.lock"])
def test_the_smaller_locks_pin_a_part_of_everything(part: str) -> None:
    assert _pinned(part).items() <= _pinned("requirements.lock").items()


def test_running_takes_nothing_that_only_tests_and_benches_need() -> None:
    others = {"pytest", "mypy", "ruff", "schemathesis", "faststream", "testcontainers", "hypothesis", "pygal", "duckdb"}
    assert others & _pinned("requirements.export.lock").keys() == set()


def test_exporting_takes_what_running_takes_and_pyarrow_which_nothing_else_does() -> None:
    running, exporting = _pinned("requirements.local.lock"), _pinned("requirements.export.lock")
    assert running.items() < exporting.items()
    assert exporting.keys() - running.keys() == {"pyarrow"}
    assert "pyarrow" not in _pinned("requirements.image.lock")


@pytest.mark.parametrize(
    ("installed", "enough_for"),
    [
        ("requirements.local.lock", ["up"]),
        ("requirements.export.lock", ["up", "export"]),
        ("requirements.lock", ["up", "export", "test"]),
    ],
)
def test_an_environment_is_enough_for_whatever_takes_no_more(
    fresh: Path, installed: str, enough_for: list[str]
) -> None:
    command = runpy.run_path(str(fresh / "sliceline"))
    python = Path(command["PYTHON"])
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    command["write"](command["MARKER"], command["mark_of"](str(fresh / installed)))
    locks = {name: command["NEEDED"].get(name, command["RUNNING"]) for name in ("up", "export", "test")}
    assert [name for name, lock in locks.items() if command["is_ready"](lock)] == enough_for


def test_an_export_asks_whether_there_is_anything_to_read_before_it_installs_more(fresh: Path) -> None:
    command = runpy.run_path(str(fresh / "sliceline"))
    python, asked = Path(command["PYTHON"]), fresh / "asked"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> {asked}\nexit 7\n')
    python.chmod(0o755)
    command["write"](command["MARKER"], command["mark_of"](command["RUNNING"]))
    said = subprocess.run([sys.executable, fresh / "sliceline", "export", "--to", "x"], capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (7, "")
    assert asked.read_text() == "-P -m cli.exported\n"


@pytest.mark.parametrize(
    ("lock", "package"),
    [
        *(("requirements.local.lock", package) for package in sorted(OURS - {"bench"})),
        ("requirements.export.lock", EXPORTING),
        *(("requirements.image.lock", package) for package in ("backbone", "deployment", "services")),
    ],
)
def test_the_environment_to_run_in_has_all_that_is_imported(lock: str, package: str) -> None:
    there = _pinned(lock).keys()
    distributions = packages_distributions()
    files = (file for file in (ROOT / package).rglob("*.py") if package == EXPORTING or file.parent != ROOT / EXPORTING)
    imported = {name for file in files for name in imports(file)} - OURS
    foreign = {name: {each.lower().replace("_", "-") for each in distributions.get(name, ())} for name in imported}
    assert {name for name, homes in foreign.items() if homes and not homes & there} == set()


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
