"""Puts the service together: `python -m services.inventory.service`."""

from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings
from services.inventory import consumers, events
from services.inventory.api import PROBLEMS, router
from services.inventory.rebuilding import REBUILDS

SERVICE = Service(
    name="inventory",
    settings=Settings,
    router=router,
    publishes=events.PUBLISHES,
    handlers=consumers.HANDLERS,
    problems=PROBLEMS,
    rebuilds=REBUILDS,
)

if __name__ == "__main__":
    run(SERVICE)
