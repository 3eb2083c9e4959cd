"""Puts the service together: `python -m services.delivery.service`."""

from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings
from services.delivery.api import PROBLEMS, router
from services.delivery.consumers import HANDLERS
from services.delivery.events import PUBLISHES
from services.delivery.rebuilding import REBUILDS

SERVICE = Service(
    name="delivery",
    settings=Settings,
    router=router,
    publishes=PUBLISHES,
    handlers=HANDLERS,
    problems=PROBLEMS,
    rebuilds=REBUILDS,
)

if __name__ == "__main__":
    run(SERVICE)
