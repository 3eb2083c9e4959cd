"""The examples: what a page shows of them is what runs, and what they read is what the shop promises."""

import re

from backbone.declared import objections
from examples.fulfilment.listener import SERVICE
from local import ROOT

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
