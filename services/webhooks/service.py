"""Puts the service together: `python -m services.webhooks.service`."""

from backbone.process import run
from backbone.service import Service
from services.webhooks.api import PROBLEMS, router
from services.webhooks.consumers import HANDLERS
from services.webhooks.events import PUBLISHES
from services.webhooks.jobs import JOBS
from services.webhooks.settings import Settings

SERVICE = Service(
    name="webhooks",
    settings=Settings,
    router=router,
    publishes=PUBLISHES,
    handlers=HANDLERS,
    jobs=JOBS,
    problems=PROBLEMS,
)

if __name__ == "__main__":
    run(SERVICE)
