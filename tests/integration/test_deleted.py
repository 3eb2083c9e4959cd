"""The project without any service that an order does not pass: what is left of it is whole."""

import sys
from pathlib import Path

import pytest

from tests.copies import copy_of_the_project, delete, run
from tests.processes import BESIDE

pytestmark = pytest.mark.long

CHECKS = [f"tests/unit/test_{name}.py" for name in ("catalogue", "listed", "walls")]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = copy_of_the_project(tmp_path_factory.mktemp("left"), "")
    for service in BESIDE:
        delete(tree, service)
    return tree


def test_contracts_says_who_reads_what_nobody_publishes_and_leaves_the_rest_consistent(left: Path) -> None:
    done = run(left, "-m", "cli", "contracts")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "loyalty reads case-resolved, which no service here publishes: there is no reviews." in done.stdout
    assert not [name for name in BESIDE if [*(left / "schemas" / "consumers" / name).glob("*.json")]]
    checked = run(left, "-m", "pytest", "-q", "-k", "not loads_only_what_it_uses", *CHECKS)
    assert checked.returncode == 0, checked.stdout


def test_the_walls_hold(left: Path) -> None:
    done = run(left, str(Path(sys.executable).with_name("lint-imports")))
    assert (done.returncode, " 0 broken" in done.stdout) == (0, True), done.stdout
