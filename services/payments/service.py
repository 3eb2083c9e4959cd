"""Puts the service together: `python -m services.payments.service`."""

from backbone.process import run
from backbone.service import Service
from services.payments.api import PROBLEMS, router
from services.payments.consumers import HANDLERS
from services.payments.events import PUBLISHES
from services.payments.jobs import JOBS
from services.payments.rebuilding import REBUILDS
from services.payments.settings import Settings

SERVICE = Service(
    name="payments",
    settings=Settings,
    router=router,
    publishes=PUBLISHES,
    handlers=HANDLERS,
    jobs=JOBS,
    problems=PROBLEMS,
    rebuilds=REBUILDS,
)

if __name__ == "__main__":
    run(SERVICE)
