"""docs/decisions: each record says when it was decided, whether it holds, and is listed."""

import re
from pathlib import Path

import pytest

DECISIONS = Path(__file__).resolve().parents[2] / "docs" / "decisions"
RECORDS = sorted(DECISIONS.glob("[0-9]*.md"))
STATUS = re.compile(r"\d{4}-\d{2}-\d{2} · (accepted|superseded by \[\d+\]\([^)]+\))")


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_decision_has_a_date_and_a_status(record: Path) -> None:
    title, empty, status, *_ = record.read_text().splitlines()
    assert title.startswith(f"# {int(record.name[:4])}. ")
    assert not empty
    assert STATUS.fullmatch(status)


def test_every_decision_is_listed() -> None:
    listed = re.findall(r"\]\((\d{4}-[^)]+\.md)\)", (DECISIONS / "README.md").read_text())
    assert listed == [path.name for path in RECORDS]
