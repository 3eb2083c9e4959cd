"""Puts the service together: `python -m services.inventory.service`."""

from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings
from services.inventory import consumers, events
from services.inventory.api import PROBLEMS, router

SERVICE = Service(
    name="inventory",
    settings=Settings,
    router=router,
    publishes=events.PUBLISHES,
    handlers=consumers.HANDLERS,
    problems=PROBLEMS,
)

if __name__ == "__main__":
    run(SERVICE)
