"""The decisions are numbered without gap or twin, and the index lists each."""

import re

from local import ROOT

FOLDER = ROOT / "docs" / "decisions"
PAGES = sorted(page.name for page in FOLDER.glob("0*.md"))


def test_each_decision_has_a_number_of_its_own_and_says_it() -> None:
    assert [int(name[:4]) for name in PAGES] == list(range(1, len(PAGES) + 1))
    for name in PAGES:
        assert (FOLDER / name).read_text().startswith(f"# {int(name[:4])}. ")


def test_the_index_lists_every_decision_in_its_place() -> None:
    listed = re.findall(r"^(\d+)\. \[.+\]\((\S+)\)$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert listed == [(str(int(name[:4])), name) for name in PAGES]
