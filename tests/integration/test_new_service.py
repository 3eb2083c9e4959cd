"""`./sliceline new service` on a clean tree: what it makes passes everything at once, and no file is edited by hand."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.making.wanted import next_port
from deployment import people
from local import ROOT
from local.program import python
from tests.copies import copy_of_the_project, environment, files, run
from tests.waiting import wait_until

ARGUMENTS = ("ratings", "--reads", "order-completed", "stock-level-changed", "--publishes", "rating-given")
WHOLE = (
    *("unit/test_listed", "unit/test_networks", "unit/test_catalogue", "unit/test_ratings_decisions"),
    "integration/test_ratings",
)
IN_PART = ("unit/test_contracts", "unit/test_openapi", "integration/test_sets", "integration/test_migrations")
"""Tests of what every service has to be, of which those about the new one are run."""
TESTS = [f"tests/{name}.py" for name in (*WHOLE, *IN_PART)]
CHOSEN = " or ".join(("ratings", *(f"{name.split('/')[1]}.py" for name in WHOLE)))


ASKED = re.compile(r'^  curl -s --oauth2-bearer "\$\(\./sliceline token --as (\w+)\)" (.*)$', re.MULTILINE)


@pytest.fixture(scope="module")
def making(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> tuple[Path, str]:
    """A copy of the project with a service more, whose tests use our Postgres, and what was said of it."""
    tree = copy_of_the_project(tmp_path_factory.mktemp("made"), postgres)
    done = run(tree, "-m", "cli", "new", "service", *ARGUMENTS)
    assert done.returncode == 0, done.stdout + done.stderr
    return tree, done.stdout


@pytest.fixture(scope="module")
def made(making: tuple[Path, str]) -> Path:
    """A copy of the project with a service more."""
    return making[0]


def test_what_is_made_is_asked_with_the_token_of_a_role_that_may(making: tuple[Path, str]) -> None:
    _, said = making
    asked = f"localhost:{next_port()}/ratings"
    assert ASKED.findall(said) == [("reader", asked), ("operator", f"-X POST {asked}/NAME/rating-given")]
    assert said.count("curl ") == 2
    assert "operations.read" in people.roles()["reader"]
    assert "operations.act" in people.roles()["operator"]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("-m", "ruff", "check", "."), id="lint", marks=pytest.mark.long),
        pytest.param(("-m", "ruff", "format", "--check", "."), id="format"),
        pytest.param((str(Path(sys.executable).with_name("lint-imports")),), id="walls"),
        pytest.param(("-m", "pytest", "-q", "-k", CHOSEN, *TESTS), id="tests", marks=pytest.mark.long),
    ],
)
def test_what_is_made_passes_at_once(made: Path, command: tuple[str, ...]) -> None:
    done = run(made, *command)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_what_is_made_has_its_types(made: Path) -> None:
    """With what mypy knows already of all that is as it was."""
    tests = ("tests/integration/test_ratings.py", "tests/unit/test_ratings_decisions.py")
    done = run(made, "-m", "mypy", f"--cache-dir={ROOT / '.mypy_cache'}", "services/ratings", *tests)
    assert done.returncode == 0, done.stdout


def test_the_same_name_again_is_refused_and_changes_nothing(made: Path) -> None:
    before = files(made)
    done = run(made, "-m", "cli", "new", "service", *ARGUMENTS)
    assert (done.returncode, done.stderr) == (2, "There is a service ratings already.\n")
    assert files(made) == before


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Path:
    return copy_of_the_project(tmp_path_factory.mktemp("clean"), postgres)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("ratings", "--reads", "order-completd"), 2, "Did you mean orders.order-completed.v1"),
        (("loyalty", "--reads", "order-completed"), 2, "There is a service loyalty already."),
        (("http", "--reads", "order-completed"), 1, "tests/integration/test_http.py would be overwritten"),
    ],
)
def test_what_cannot_be_made_is_said_and_changes_nothing(
    clean: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = files(clean)
    done = run(clean, "-m", "cli", "new", "service", *arguments)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert files(clean) == before


def test_contracts_that_are_broken_already_are_told_and_nothing_is_made(clean: Path) -> None:
    sample = clean / "schemas" / "orders" / "samples" / "order-delayed.v1.json"
    whole = sample.read_bytes()
    sample.write_text("{}")
    before = files(clean)
    done = run(clean, "-m", "cli", "new", "service", *ARGUMENTS)
    assert (done.returncode, "Nothing is made. schemas/orders/samples/order-delayed.v1.json" in done.stderr) == (
        1,
        True,
    )
    assert files(clean) == before
    sample.write_bytes(whole)


def hear_interruptions() -> None:
    """Whatever runs in the background of a script ignores them, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interruption_leaves_nothing_behind(clean: Path) -> None:
    before = files(clean)
    command = python("-m", "cli", "new", "service", *ARGUMENTS)
    making = subprocess.Popen(
        command, cwd=clean, env=environment(clean), stderr=subprocess.PIPE, preexec_fn=hear_interruptions
    )

    def is_in_the_middle() -> bool:
        assert making.poll() is None
        return any((clean / ".sliceline").glob("new-*/docs"))

    wait_until(is_in_the_middle, 30, every=0.005)
    making.send_signal(signal.SIGINT)
    making.communicate(timeout=30)
    assert making.returncode != 0
    assert files(clean) == before
    assert list((clean / ".sliceline").glob("new-*")) == []
