"""A dead letter fails on a throw-away database as it did in production, until its handler is mended."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backbone.consuming.batch import Batch, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.ids import new_id
from cli.reproducing import write_test
from local import ROOT
from services.kitchen import decisions
from services.kitchen.decisions import Ticket
from services.kitchen.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import fed
from tests.integration.test_kitchen import CUSTOMER, cancel, confirmed

pytestmark = pytest.mark.long

FAULT = """
import services.kitchen.decisions as decisions

def cancel(ticket):
    raise ZeroDivisionError(f"no pizza in ticket {ticket.order}")

decisions.cancel = cancel
"""


async def parked(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What it takes to reproduce a cancellation that the kitchen could not handle."""

    def broken(ticket: Ticket) -> None:
        raise ZeroDivisionError(f"no pizza in ticket {ticket.order}")

    order = new_id()
    async with fed(SERVICE, new_database) as kitchen:
        await kitchen.feed(confirmed(order))
        record = kitchen.record(*cancel(order))
        processor = BatchProcessor(SERVICE.name, SERVICE.handlers, kitchen.database)
        batch = Batch([read(record, processor.views)], {(record.topic, 0): (1, 2)})
        monkeypatch.setattr(decisions, "cancel", broken)
        with pytest.raises(ZeroDivisionError) as caught:
            await processor.apply(batch)
        await processor.park(batch, caught.value)
        monkeypatch.undo()
        (letter,) = (await kitchen.client.get("/dead-letters")).json()["items"]
        found: dict[str, Any] = (await kitchen.client.get(f"/dead-letters/{letter['id']}/reproduction")).json()
    return found


async def test_a_letter_fails_as_it_did_until_its_handler_is_mended(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, postgres: str
) -> None:
    material = await parked(new_database, monkeypatch)
    order = material["key"]
    assert [row["order_id"] for row in material["state"]["tickets"]] == [order]
    written = write_test(material, tmp_path / "test_letter.py")
    text = written.read_text()
    for personal in (CUSTOMER["name"] + '"', CUSTOMER["email"], "changed my mind"):
        assert personal not in text
    (tmp_path / "conftest.py").write_text(
        f"import pytest\nfrom tests.conftest import *\n\n\n@pytest.fixture(scope='session')\n"
        f"def postgres():\n    return {postgres!r}\n"
    )
    mended = run(tmp_path)
    assert mended.returncode == 0, mended.stdout
    (tmp_path / "sitecustomize.py").write_text(FAULT)
    failed = run(tmp_path)
    assert failed.returncode == 1, failed.stdout
    assert f"ZeroDivisionError: no pizza in ticket {order}" in failed.stdout


def run(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "asyncio_mode=auto",
        "test_letter.py",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "PYTEST_DEBUG_TEMPROOT": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
