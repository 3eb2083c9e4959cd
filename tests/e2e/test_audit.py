"""The log of acts of a shop at work, as its people see it: whole, and told by the archive in the same words."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from tests.integration.standing_in import standing_in_for
from tests.system import Shop
from tests.waiting import eventually

pytestmark = pytest.mark.beside("ledger")


async def test_what_the_staff_pressed_is_in_logs_that_are_whole(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await shop.place({"margherita": 1})
    await shop.complete(order)
    monkeypatch.setattr("cli.running.HOME", tmp_path)
    monkeypatch.setenv("SLICELINE_TOKEN", await shop.token())
    with standing_in_for(tmp_path, {name: shop.url(name) for name in shop.system.services}):
        await eventually(lambda: _is_exported(order), what="both buttons of the kitchen are in its log")
        whole = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "verify"])
    assert whole.exit_code == 0, whole.output
    lines = whole.stdout.splitlines()
    assert len(lines) == len(shop.system.services)
    assert all(" rows, whole, as " in line for line in lines)


async def _is_exported(order: str) -> bool:
    found = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "export", "--service", "kitchen"])
    assert found.exit_code == 0, found.output
    acts = map(json.loads, found.stdout.splitlines())
    # A button that was pressed before there was a ticket is a refusal, and pressed again.
    done = [each["what"].rpartition("/")[2] for each in acts if order in each["path"] and each["outcome"] == "done"]
    return done == ["prepared", "baked"]
