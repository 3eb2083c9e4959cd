"""Puts the service together: `python -m services.kitchen.service`."""

from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings
from services.kitchen.api import PROBLEMS, router
from services.kitchen.consumers import HANDLERS
from services.kitchen.events import PUBLISHES
from services.kitchen.rebuilding import REBUILDS

SERVICE = Service(
    name="kitchen",
    settings=Settings,
    router=router,
    publishes=PUBLISHES,
    handlers=HANDLERS,
    problems=PROBLEMS,
    rebuilds=REBUILDS,
)

if __name__ == "__main__":
    run(SERVICE)
