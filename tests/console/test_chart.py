"""The chart of throughput by itself, in a real browser: what stands beside it."""

from datetime import UTC, datetime

import htpy as h
import pytest
from playwright.async_api import Browser

from services.console import assets
from services.console.throughput import chart

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
WRITTEN = """() => {
  window.written = [];
  const write = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...more) {
    window.written.push(text);
    return write.call(this, text, ...more);
  };
}"""


@pytest.mark.parametrize(
    ("orders", "numbers"), [(1, "0 1 2 3 4"), (6_000, "0 2K 4K 6K"), (40_000, "0 10K 20K 30K 40K")]
)
async def test_numbers_beside_the_chart_have_room_however_many_orders_there_are(
    chromium: Browser, orders: int, numbers: str
) -> None:
    statuses = [{"status": each, "orders": [0] * 60} for each in ("completed", "rejected", "cancelled")]
    placed = {"status": "placed", "orders": [orders] * 60}
    shown = chart({"since": NOON.isoformat(), "step_seconds": 15, "statuses": [placed, *statuses]}, [])
    page = await chromium.new_page()
    try:
        await page.set_content(str(h.main[shown]))
        await page.add_style_tag(content=(assets.FOLDER / "console.css").read_text())
        await page.evaluate(WRITTEN)
        await page.add_script_tag(content=(assets.FOLDER / "uPlot.iife.min.js").read_text())
        await page.add_script_tag(content=(assets.FOLDER / "chart.js").read_text(), type="module")
        await page.wait_for_function("window.written.length > 0")
        written = await page.evaluate("window.written.filter((each) => !each.includes(':'))")
        assert list(dict.fromkeys(written)) == numbers.split()
    finally:
        await page.close()
