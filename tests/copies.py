"""Copies of the project, for tests that change it: `./sliceline new`, and what the README does."""

import asyncio
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from local import HOME, ROOT, kafka
from local.program import python

POSTGRES = '''

@pytest.fixture(scope="session")
def postgres() -> str:
    """The server of whoever runs these tests."""
    return "{url}"
'''


def _tracked() -> list[str]:
    """The files of the project, also those not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def _copy_tracked(tree: Path) -> None:
    for name in _tracked():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)


def copy_of_the_project(tree: Path, postgres: str) -> Path:
    """Copy all of it to an empty folder; the integration tests there use this Postgres."""
    _copy_tracked(tree)
    with (tree / "tests" / "integration" / "conftest.py").open("a") as conftest:
        conftest.write(POSTGRES.format(url=postgres))
    return tree


RUNS = ("backbone", "cli", "deployment", "local", "sandbox", "schemas", "services")
"""The folders of what runs."""
FIRST_PORT = 7001
"""Of the services of such a copy. Nobody usually listens there, so no other shop is taken for this one."""


def shop_of(tree: Path, services: Collection[str]) -> Path:
    """Copy what runs to a new folder, with these services only, as if `./sliceline` had been called there before."""
    for folder in RUNS:
        shutil.copytree(ROOT / folder, tree / folder)
    for file in (ROOT / "sliceline", ROOT / "buses.toml", *ROOT.glob("requirements*.lock")):
        shutil.copy2(file, tree)
    catalogue = {name: FIRST_PORT + at for at, name in enumerate(services)}
    (tree / "services" / "__init__.py").write_text(f"CATALOGUE: dict[str, int] = {catalogue}\n")
    _install(tree)
    return tree


def clone_of_the_project(tree: Path) -> Path:
    """Copy all of it to an empty folder, as if `./sliceline` had been called there before."""
    _copy_tracked(tree)
    _install(tree)
    return tree


async def say(tree: Path, *words: str) -> str:
    """Give a command in a copy, as its owner does; it succeeds. Returns what it says."""
    command = [sys.executable, str(tree / "sliceline"), *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SLICELINE_", "PYTHON"))}
    done = await asyncio.to_thread(subprocess.run, command, cwd=tree, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _install(tree: Path) -> None:
    """Have a copy use our environment, and our Kafka."""
    kafka.remember_classes(print)
    (tree / ".sliceline").mkdir()
    for file in HOME.glob("kafka-*"):
        (tree / ".sliceline" / file.name).symlink_to(file)
    command = runpy.run_path(str(tree / "sliceline"))
    interpreter = Path(command["PYTHON"])
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    interpreter.chmod(0o755)
    command["write"](command["MARKER"], command["mark_of"](command["EVERYTHING"]))


def environment(tree: Path) -> dict[str, str]:
    """What a process has to know to run the copy's code instead of ours.

    Its tests get a temporary folder of their own: pytest closes the one it usually takes to other accounts, even while
    a Postgres of ours, which runs as one of these, has its data there.
    """
    return {**os.environ, "PYTHONPATH": str(tree), "PYTEST_DEBUG_TEMPROOT": str(tree.parent)}


def delete(tree: Path, service: str) -> None:
    """Take a service out of a copy, as docs/writing-a-service.md says, but for what was made for it alone."""
    shutil.rmtree(tree / "services" / service)
    _take_out(tree / "services" / "__init__.py", rf'^    "{service}": \d+,\n')
    for name in (service, f"{service}-worker"):
        _take_out(tree / "docker-compose.yml", rf"^  {name}:\n(    .*\n)+\n")


def _take_out(file: Path, pattern: str) -> None:
    text, count = re.subn(pattern, "", file.read_text(), flags=re.MULTILINE)
    assert count == 1, f"{file} has {count} of {pattern}"
    file.write_text(text)


def run(tree: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a copy, to its end."""
    return subprocess.run(python(*arguments), cwd=tree, env=environment(tree), capture_output=True, text=True)


def files(tree: Path) -> dict[str, bytes]:
    """What a person would see in the tree."""
    unseen = re.compile(r"(^|/)(__pycache__|\.[a-z_]+)/")
    there = {str(path.relative_to(tree)): path for path in tree.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in there.items() if not unseen.search(name)}
