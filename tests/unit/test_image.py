"""What the image contains: every package of ours that its programs import, and nothing of ./sliceline beside it."""

import re

from local import ROOT
from tests.unit.test_environment import OURS, imports

COPIED = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")} & OURS
STARTED = re.findall(r"command: \[(\w+)\.", (ROOT / "docker-compose.yml").read_text())


def _imported_by(package: str) -> set[str]:
    """The other packages of ours that one of them imports."""
    return {name for file in (ROOT / package).rglob("*.py") for name in imports(file)} & OURS - {package}


def test_nothing_comes_into_the_image_that_is_not_named() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    named = {line[1:] for line in lines if line.startswith("!")}
    assert named == COPIED | {"requirements.image.lock", "buses.toml", "schemas"}


def test_the_image_has_the_packages_that_its_programs_are_made_of_and_no_others() -> None:
    assert {*STARTED, *(name for package in COPIED for name in _imported_by(package))} == COPIED
