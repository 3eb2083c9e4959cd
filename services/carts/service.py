"""Puts the service together: `python -m services.carts.service`."""

from backbone.process import run
from backbone.service import Service
from services.carts.api import PROBLEMS, router
from services.carts.consumers import HANDLERS
from services.carts.events import PUBLISHES
from services.carts.jobs import JOBS
from services.carts.settings import Settings

SERVICE = Service(
    name="carts",
    settings=Settings,
    router=router,
    publishes=PUBLISHES,
    handlers=HANDLERS,
    jobs=JOBS,
    reads_old_events=True,
    problems=PROBLEMS,
    keeps_keys=True,
)

if __name__ == "__main__":
    run(SERVICE)
