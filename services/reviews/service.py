"""Puts the service together: `python -m services.reviews.service`."""

from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings
from services.reviews.api import PROBLEMS, router
from services.reviews.consumers import HANDLERS
from services.reviews.events import PUBLISHES
from services.reviews.jobs import JOBS

SERVICE = Service(
    name="reviews",
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
