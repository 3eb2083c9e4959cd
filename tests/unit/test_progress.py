"""What a run of the tests tells of itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from local import ROOT

CONFTEST = """
from tests import progress
progress.EVERY = {every}
from tests.conftest import pytest_configure
"""


@pytest.mark.parametrize(("every", "extra"), [(0, []), (0, ["--numprocesses=2"]), (0, ["-q"])])
def test_a_run_tells_how_far_it_is(tmp_path: Path, every: float, extra: list[str]) -> None:
    said = _run(tmp_path, every, extra)
    for done in (1, 2, 3):
        assert re.search(rf"^{done} of 3 after \d+ s, newest: test_three.py::test_three\[", said, re.MULTILINE)


def test_a_quick_run_tells_nothing_but_its_end(tmp_path: Path) -> None:
    assert " of 3 after" not in _run(tmp_path, 60, [])


def _run(folder: Path, every: float, extra: list[str]) -> str:
    (folder / "conftest.py").write_text(CONFTEST.format(every=every))
    (folder / "test_three.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(3))\ndef test_three(n): pass\n"
    )
    command = [sys.executable, "-P", "-m", "pytest", "-p", "xdist", "--rootdir", str(folder), *extra, str(folder)]
    env = {
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # loading all of them takes longest
        "PYTEST_DEBUG_TEMPROOT": str(folder),  # as that of copies.environment
    }
    run = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
    assert run.returncode == 0, run.stdout
    return str(run.stdout)
