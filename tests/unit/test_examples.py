"""The examples: what a page shows of them is what runs, and what they read is what the shop promises."""

import contextlib
import difflib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backbone.declared import objections
from backbone.settings import Settings
from examples.fulfilment import __main__ as partner
from examples.fulfilment.listener import SERVICE
from local import ROOT, programs, state
from local.layout import Layout
from local.processes import identity_of
from sandbox.identity.register import Register
from tests.issuing import BELIEVED
from tests.unit.test_environment import imports

PAGE = (ROOT / "docs" / "writing-a-service.md").read_text()
BLOCK = re.compile(r"^`(examples/\S+)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_on_a_listener_of_somebody_else_shows_its_files_as_they_are() -> None:
    files = [path for path in (ROOT / "examples" / "fulfilment").rglob("*.py") if path.name != "__init__.py"]
    assert dict(BLOCK.findall(PAGE)) == {path.relative_to(ROOT).as_posix(): path.read_text() for path in files}


def test_the_partner_takes_whatever_the_shop_may_say() -> None:
    assert objections(SERVICE) == []


def test_the_partner_is_about_forty_lines() -> None:
    lines = (ROOT / "examples" / "fulfilment" / "listener.py").read_text().splitlines()
    assert len([line for line in lines if line]) <= 48


WAY = ROOT / "examples" / "from-naive"
STEPS = [path.read_text().splitlines() for path in sorted(WAY.glob("step*/shop.py"))]
TALE = (WAY / "README.md").read_text()


def _changes(before: list[str], after: list[str]) -> list[str]:
    lines = difflib.unified_diff(before, after, n=1000, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_what_the_way_shows_of_a_step_is_the_difference_to_the_one_before(number: int) -> None:
    [section] = re.findall(rf"^## Step {number}: .*?(?=^## )", TALE, re.MULTILINE | re.DOTALL)
    [shown] = re.findall(r"^```diff\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert {line for line in shown.splitlines() if line} <= {*_changes(STEPS[number - 1], STEPS[number]), " "}


def test_the_way_says_how_many_lines_differ_from_step_to_step() -> None:
    differing = [
        sum(line[:1] in ("-", "+") for line in _changes(STEPS[number - 1], STEPS[number])) for number in (1, 2, 3, 4)
    ]
    assert [int(count) for count in re.findall(r"^\| \[[1-4]\].*?\| (\d+) \|", TALE, re.MULTILINE)] == differing
    assert max(differing) < 80


@pytest.mark.parametrize("script", ["run", "measure"])
def test_the_way_says_how_its_environment_is_made_where_there_is_none(script: str, tmp_path: Path) -> None:
    folder = tmp_path / "examples" / "from-naive"
    folder.mkdir(parents=True)
    shutil.copy2(WAY / script, folder)
    done = subprocess.run([folder / script, "step0_naive"], capture_output=True, text=True)
    assert (done.returncode, "Make it, once, by: ./sliceline test --version" in done.stderr) == (1, True)


def test_a_step_of_the_way_is_read_in_one_sitting() -> None:
    assert [len(lines) for lines in STEPS if len(lines) > 150] == []


@pytest.mark.parametrize("path", sorted(WAY.glob("step*/*.py")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_step_of_the_way_stands_on_the_backbone_alone(path: Path) -> None:
    ours = {name for name in imports(path) if (ROOT / name).is_dir() or name.startswith("step")}
    assert ours <= {"backbone", path.parent.name}
    assert not ours or path.parent.name >= "step2"  # who records needs nobody's library yet


@pytest.mark.parametrize(("offset", "bootstrap"), [(0, "127.0.0.1:19092"), (10_000, "127.0.0.1:29092")])
def test_the_partner_finds_the_kafka_of_the_shop_that_runs_here(
    offset: int, bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(partner, "HOME", tmp_path)
    with state.hold(tmp_path):
        state.write(tmp_path, state.State(state.RUNNING, identity_of(os.getpid()), offset))
        partner.find_shop("8100", "fulfilment")
        assert os.environ["SLICELINE_KAFKA"] == bootstrap
    monkeypatch.setattr(os, "environ", {})
    partner.find_shop("8100", "fulfilment")
    assert os.environ["SLICELINE_KAFKA"] == "127.0.0.1:19092"


IDENTITY = {"identity": state.Row("identity")}


@pytest.mark.parametrize(
    ("shop", "told", "believed"),
    [
        ({"port_offset": 10_000, "rows": IDENTITY}, {}, {"SLICELINE_ISSUER": "http://127.0.0.1:18092"}),
        ({"issuer": "https://id.test"}, {}, {"SLICELINE_ISSUER": "https://id.test"}),
        ({"rows": IDENTITY}, {"SLICELINE_ISSUER": BELIEVED}, {"SLICELINE_ISSUER": BELIEVED}),
        ({}, {}, {"SLICELINE_AUTH": "off"}),
        (None, {}, {"SLICELINE_ISSUER": "http://127.0.0.1:8092"}),
    ],
    ids=["of the shop", "of another", "as told", "of nobody", "in containers"],
)
def test_the_partner_takes_the_tokens_that_the_shop_takes(
    shop: dict[str, Any] | None,
    told: dict[str, str],
    believed: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", {**told})
    monkeypatch.setattr(partner, "HOME", tmp_path)
    with state.hold(tmp_path) if shop is not None else contextlib.nullcontext():
        state.write(tmp_path, state.State(state.RUNNING, identity_of(os.getpid()), **(shop or {})))
        partner.find_shop("8100", "fulfilment")
    found = {name: os.environ[name] for name in ("SLICELINE_ISSUER", "SLICELINE_AUTH") if name in os.environ}
    assert found == believed
    Settings(database_url="postgresql://127.0.0.1/partner")


@pytest.mark.parametrize("name", ["fulfilment", "receipts"])
def test_the_issuer_of_the_shop_knows_a_partner_by_the_key_that_he_finds(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(partner, "HOME", tmp_path)
    [identity, *_] = programs.sandbox(Layout(home=tmp_path))
    register = Register.model_validate_json(Path(identity.env["SLICELINE_IDENTITY_REGISTER"]).read_bytes())
    assert register.scopes(register.programs[name].roles) == {"keys.read"}
    partner.find_shop("8100", name)
    key = tmp_path / "identity" / "clients" / name / "key.pem"
    assert (os.environ["SLICELINE_IDENTITY_KEY_FILE"], key.exists()) == (str(key), True)
