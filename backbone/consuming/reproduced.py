"""Writes out what `reproducing` has gathered of a dead letter: a test in which it fails as it did."""

import pprint
from collections.abc import Mapping
from typing import Any

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
