"""What alerts does about a level of stock. The events of one SKU come in order and one at a time."""

from backbone.database import Tx
from backbone.events import Event
from backbone.service import Handlers
from services.alerts import decisions
from services.alerts.events import Kind, StockAlertCleared, StockAlertRaised, StockLevelChanged

READ_ACTIVE = "SELECT kind FROM alerts WHERE sku = $1 AND active"

RAISE = """
INSERT INTO alerts (sku, kind, active, available, threshold, ceiling, channel, raised_at)
VALUES ($1, $2, true, $3, $4, $5, $6, $7)
ON CONFLICT (sku, kind) DO UPDATE SET
    active = true, available = excluded.available, threshold = excluded.threshold, ceiling = excluded.ceiling,
    channel = excluded.channel, raised_at = excluded.raised_at, cleared_at = NULL
"""

CLEAR = "UPDATE alerts SET active = false, available = $3, cleared_at = $4 WHERE sku = $1 AND kind = $2"


async def level_changed(event: Event[StockLevelChanged], tx: Tx) -> None:
    level = event.data
    active: set[Kind] = {row["kind"] for row in await tx.raw.fetch(READ_ACTIVE, level.sku)}
    crossing = decisions.judge(active, level)
    for kind in sorted(crossing.cleared):
        await _clear(kind, level, tx)
    for kind in sorted(crossing.raised):
        await _raise(kind, level, tx)


async def _raise(kind: Kind, level: StockLevelChanged, tx: Tx) -> None:
    raised = StockAlertRaised(
        sku=level.sku,
        kind=kind,
        available=level.after.available,
        threshold=level.threshold,
        ceiling=level.ceiling,
        channel=level.channel,
    )
    await tx.raw.execute(
        RAISE, raised.sku, kind, raised.available, raised.threshold, raised.ceiling, raised.channel, tx.now
    )
    tx.publish(raised, key=level.sku)


async def _clear(kind: Kind, level: StockLevelChanged, tx: Tx) -> None:
    available = level.after.available
    await tx.raw.execute(CLEAR, level.sku, kind, available, tx.now)
    tx.publish(StockAlertCleared(sku=level.sku, kind=kind, available=available), key=level.sku)


HANDLERS: Handlers = {StockLevelChanged: level_changed}
