"""What the console sends to browsers is small, is what its packages have, and asks nobody else."""

import hashlib
import re
import tomllib

import pytest

from services.console import assets

VENDORED = tomllib.loads((assets.FOLDER / "VENDORED.toml").read_text())
MOST = 60_000
OURS = [name for name in assets.names() if name not in VENDORED]


def test_what_is_not_ours_is_byte_for_byte_what_its_package_has() -> None:
    assert {name for name in assets.names() if ".min." in name} == VENDORED.keys()
    for name, told in VENDORED.items():
        assert hashlib.sha256((assets.FOLDER / name).read_bytes()).hexdigest() == told["sha256"]


def test_all_that_a_browser_needs_is_small() -> None:
    assert sum(len(assets.packed(name)) for name in assets.names()) <= MOST


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_names_no_other_place(name: str) -> None:
    text = (assets.FOLDER / name).read_text().replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"https?://|@import|url\(", text) == []


def test_another_content_has_another_address() -> None:
    assert len({assets.url(name).split("/")[2] for name in assets.names()}) == len(assets.names())
