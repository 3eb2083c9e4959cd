"""Everything at once: a minute and a half of seeded faults against a shop of its own, and then every promise."""

import json
from pathlib import Path

import pytest

from tests.faults.chaos import Run, run
from tests.faults.schedule import SHORT

SEED, SECONDS, ORDERS = 12, 90, 300

pytestmark = pytest.mark.long


async def test_the_shop_keeps_every_promise_through_a_minute_and_a_half_of_faults(tmp_path: Path) -> None:
    report = await run(Run(SEED, SECONDS, ORDERS, SHORT, tmp_path), print)
    print(json.dumps(report, indent=1))  # noqa: T201  shown when the test fails
    assert len(report["faults"]) >= 8
    assert report["orders"] > ORDERS / 2
    assert report["kills"] >= 3
    assert report["redeliveries"] > 0
    assert not report["violations"], f"seed {SEED}; the history is in {report['history']}"
