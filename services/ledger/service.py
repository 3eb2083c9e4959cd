"""Puts the service together: `python -m services.ledger.service`."""

from backbone.process import run
from backbone.service import Service
from services.ledger.api import PROBLEMS, router
from services.ledger.balance.api import DIFFERENCE, SILENT
from services.ledger.consumers import HANDLERS
from services.ledger.events import PUBLISHES
from services.ledger.jobs import JOBS
from services.ledger.records_api import router as records
from services.ledger.settings import Settings

router.include_router(records)
SERVICE = Service(
    name="ledger",
    settings=Settings,
    router=router,
    publishes=PUBLISHES,
    handlers=HANDLERS,
    jobs=JOBS,
    gauges=(DIFFERENCE, SILENT),
    problems=PROBLEMS,
    reads_old_events=True,  # its jobs only keep house
)

if __name__ == "__main__":
    run(SERVICE)
