"""The stand-in images of .ci/standins are those that the project names, in the same versions."""

import os
import re
from pathlib import Path

import pytest

from local import ROOT
from tests.servers import KAFKA_IMAGE, POSTGRES_IMAGE

STANDINS = ROOT / ".ci/standins"
DOCKERFILES = sorted(STANDINS.glob("*/Dockerfile"))


OFFICIAL_ALONE = {"observability"}
"""Profiles whose images are not made: of Grafana and Jaeger there is no package."""
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def _named() -> set[str]:
    """The images that compose, where it is told no profile, the Dockerfile and the tests pull."""
    compose = re.findall(r"^    image: (\S+).*\n(?!    profiles:)", COMPOSE, re.MULTILINE)
    base = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return {*compose, *base, POSTGRES_IMAGE, KAFKA_IMAGE}


def _built(dockerfile: Path) -> str:
    return dockerfile.read_text().splitlines()[0].removeprefix("# image: ")


def test_each_image_that_is_pulled_has_a_stand_in() -> None:
    assert set(map(_built, DOCKERFILES)) == _named()


def test_each_image_that_a_profile_pulls_has_one_that_is_built_when_asked_for() -> None:
    pulled = re.findall(r"^    image: (\S+)\n    profiles: \[(\S+)\]", COMPOSE, re.MULTILINE)
    pulled = [(image, profile) for image, profile in pulled if profile not in OFFICIAL_ALONE]
    assert {(_built(each), each.parent.name) for each in STANDINS.glob("profiles/*/Dockerfile")} == {*pulled}


@pytest.mark.parametrize("program", ["build", "stop", "kafka/run", "postgres/docker-entrypoint.sh"])
def test_a_program_of_the_stand_ins_may_be_run(program: str) -> None:
    assert os.access(STANDINS / program, os.X_OK)
