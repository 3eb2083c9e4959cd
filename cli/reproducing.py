"""Writes a test in which a dead letter fails as it did."""

import pprint
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.console import fail
from local import ROOT

ARCHIVED = "What came before it on its key, handled or not: the last events that the ledger's archive has."
KEPT = "What came before it on its key and was not handled either: the service has no more, and no ledger told."

TEMPLATE = '''"""Letter {letter} of {service} could not be handled. Written by `./sliceline dead-letters reproduce`.

{failed}
Personal data is replaced, so that a failure that came of it may not come back. Otherwise the test fails as the event
did, until the handler is mended; then it passes.
"""

from services.{service}.service import SERVICE
from tests.conftest import NewDatabase
from tests.reproduced import Letter, Record, Rows, handled

# The rows of the service's tables that the event spoke of.
STATE: Rows = {state}

# Under which names it had been handled before.
INBOX: list[str] = {inbox}

# {where_from}
BEFORE: list[Record] = {before}

EVENT: Record = {event}


async def test_letter_{letter}_of_{service}_is_handled(new_database: NewDatabase) -> None:
    await handled(SERVICE, Letter(EVENT, STATE, INBOX), new_database)
'''


def write_test(material: Mapping[str, Any], to: Path | None, *, is_archived: bool = False) -> Path:
    """Write the test and return where it is; an existing file is left alone.

    `is_archived`: what stood before the letter is from the ledger's archive.
    """
    service, letter = material["service"], material["letter"]
    path = to or ROOT / "tests" / "integration" / f"test_{service}_letter_{letter}.py"
    if path.exists():
        fail(f"{path} is there already; another one: --to FILE")
    try:
        path.write_text(text_of(material, is_archived=is_archived))
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}. Another place: --to FILE")
    return path


def text_of(material: Mapping[str, Any], *, is_archived: bool = False) -> str:
    """Return the text of a test."""
    given = {name: _literal(material[name]) for name in ("state", "inbox", "before", "event")}
    return TEMPLATE.format(
        service=material["service"],
        letter=material["letter"],
        failed=_failed(material["failed"]),
        where_from=ARCHIVED if is_archived else KEPT,
        **given,
    )


def _failed(failed: Mapping[str, Any] | None) -> str:
    if failed is None:
        return "It never failed itself: it waited behind another of its key."
    said = f"{failed['error']}: {failed['message']}, in {failed['where']}"
    return said.replace("\\", "\\\\").replace('"""', "'''")


def _literal(value: Any) -> str:
    return pprint.pformat(value, width=110, sort_dicts=False)
