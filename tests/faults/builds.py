"""Another build of the services, for `rolling`: that of the last release, or of a commit that is named."""

import os
import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from local import ROOT
from local.program import python
from tests.faults.schedule import CONSUMERS

WRAPPED = "tests/faults/wrapped.py"


class NoBuild(Exception):
    """There is no other build here, or it cannot be run as the harness runs services."""


@dataclass(frozen=True)
class Build:
    """Is a folder with the whole source of some commit; `name` is how people know it."""

    name: str
    folder: Path


THIS = Build("this one", ROOT)


def export(name: str | None, folder: Path) -> Build:
    """Put a commit's files into the folder: those of `name`, else of the last release, else of the commit before.

    Raises NoBuild.
    """
    name = name or _last_release() or "HEAD~1"
    commit = _git("rev-parse", "--short", "--verify", f"{name}^{{commit}}").decode().strip()
    with tarfile.open(fileobj=BytesIO(_git("archive", "--format=tar", commit))) as files:
        files.extractall(folder, filter="data")
    if not (folder / WRAPPED).exists():
        raise NoBuild(f"{name} ({commit}) does not know how to run under the harness")
    _load(build := Build(f"{name} ({commit})", folder))
    return build


def _load(build: Build) -> None:
    """Import all that will be run, with the libraries that are installed for this build. Raises NoBuild."""
    modules = ", ".join(["tests.faults.wrapped", *(f"services.{name}.service" for name in CONSUMERS)])
    command, env = python("-c", f"import {modules}"), {**os.environ, "PYTHONPATH": str(build.folder)}
    done = subprocess.run(command, cwd=build.folder, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise NoBuild(f"{build.name} cannot be loaded: {done.stderr.strip().splitlines()[-1]}")


def _last_release() -> str | None:
    try:
        return _git("describe", "--tags", "--abbrev=0", "--match=v*").decode().strip()
    except NoBuild:
        return None


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True)
    except FileNotFoundError:
        raise NoBuild("there is no git") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise NoBuild(f"git {arguments[0]} failed: {said or error.returncode}") from None
    return done.stdout
