"""The version stands in one file, and all that tell it read it there."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from backbone.version import VERSION
from cli.__main__ import app
from local import ROOT
from tests.all_services import SERVICES
from tests.documents import document_of


def test_pyproject_reads_the_version_where_it_stands() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in pyproject["project"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "backbone.version.VERSION"}


def test_the_command_line_tells_the_version() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.output) == (0, f"{VERSION}\n")


def test_the_version_needs_no_environment(tmp_path: Path) -> None:
    shutil.copy(ROOT / "sliceline", tmp_path)
    for name in ("requirements.local.lock", "backbone", "cli"):
        (tmp_path / name).symlink_to(ROOT / name)
    told = subprocess.run([sys.executable, tmp_path / "sliceline", "--version"], capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, f"{VERSION}\n")
    assert not (tmp_path / ".venv").exists()


def test_the_openapi_document_of_a_service_tells_the_version() -> None:
    assert document_of(SERVICES["orders"])["info"]["version"] == VERSION
