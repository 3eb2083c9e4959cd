"""The file .env.example names what docker-compose.yml and the command line read, with its default, and nothing else."""

import re

import pytest

import deployment
from local import ROOT

VARIABLE = r"[A-Z][A-Z0-9_]*"
INTERPOLATED = re.compile(rf"\$\{{({VARIABLE})(?::?[-?+]([^}}]*))?\}}")
READ = re.compile(r"(?:environ(?:\.get\(|\[)|envvar=)\"?(\w+)")
TEXT = (ROOT / ".env.example").read_text()
NAMED = dict(re.findall(rf"^#?({VARIABLE})=(.*)$", TEXT, re.MULTILINE))


def _of_compose() -> dict[str, str]:
    return dict(INTERPOLATED.findall((ROOT / "docker-compose.yml").read_text()))


def _of_the_command_line() -> set[str]:
    """The names that commands, and what they run, ask of the environment, some by a constant's name."""
    files = [file for folder in ("cli", "deployment", "local") for file in (ROOT / folder).glob("*.py")]
    words = [
        word
        for file in (*files, ROOT / "backbone" / "values" / "brokers.py")
        for word in READ.findall(file.read_text())
    ]
    return {name for word in words if (name := getattr(deployment, word, word)).startswith("SLICELINE_")}


def test_the_example_names_just_what_compose_and_the_command_line_read() -> None:
    assert NAMED.keys() == _of_compose().keys() | _of_the_command_line()
    assert len(_of_compose()) >= 5
    assert {"SLICELINE_KAFKA", "SLICELINE_OLD_EVENTS"} <= _of_the_command_line()


def test_the_example_shows_the_defaults_of_compose() -> None:
    defaults = _of_compose()
    assert {name: NAMED[name] for name in defaults} == defaults


@pytest.mark.parametrize("name", NAMED)
def test_each_variable_of_the_example_has_a_sentence_and_is_commented_out(name: str) -> None:
    assert re.search(rf"^# .+\.\n#{name}=", TEXT, re.MULTILINE)
