"""A key or a password that somebody is about to commit is found, and what is none passes."""

import os
import subprocess
from pathlib import Path

import pytest

from local import ROOT

SEARCH = ROOT / ".ci/secrets"

# Each in two halves: the search reads this file as well.
PLANTED = {
    "settings.py": ("AWS Access Key", 'ACCESS = "AKIA' + 'Z7QH3MTWX5RBKD4P"'),
    "key.pem": ("Private Key", "-----BEGIN EC PRIVATE" + " KEY-----"),
    "deploy.yml": ("Basic Auth Credentials", "url: postgresql://shop:Tk9w" + "Xq2vLm@db:5432/shop"),
    "mail.py": ("Secret Keyword", 'smtp_password = "Tk9w' + 'Xq2vLm"'),
    "ci.yml": ("GitHub Token", "token: ghp_" + "Zq3Vn8Lw5" * 4),
    "seal.json": ("Hex High Entropy String", '{"seal": "9f1b6e07c2d84a35' + '8e70d1c96b3f52a4"}'),
}


def search(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SEARCH, *files], capture_output=True, text=True)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the search says of all planted ones at once: to start it takes a second."""
    folder = tmp_path_factory.mktemp("planted")
    for name, (_, text) in PLANTED.items():
        (folder / name).write_text(text + "\n")
    said = search(*sorted(folder.iterdir()))
    assert said.returncode == 1
    assert "a new one is drawn" in said.stdout
    return said.stdout


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_secret_is_found_and_told_by_its_place(found: str, name: str) -> None:
    [place] = [part for part in found.split("Secret Type:") if f"/{name}:1" in part]
    assert place.split("\n")[0].strip() == PLANTED[name][0]


def test_no_planted_secret_is_repeated_in_what_is_said(found: str) -> None:
    assert not [text for _, text in PLANTED.values() if text in found]


def test_what_only_looks_like_a_secret_passes(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text('url = "postgresql://role:password@host:5432/name"\n')
    assert search(tmp_path / "settings.py").returncode == 0


def test_the_search_may_be_run() -> None:
    assert os.access(SEARCH, os.X_OK)
