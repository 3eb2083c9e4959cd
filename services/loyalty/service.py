"""Puts the service together: `python -m services.loyalty.service`."""

from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings
from services.loyalty.api import PROBLEMS, router
from services.loyalty.consumers import HANDLERS
from services.loyalty.events import PUBLISHES
from services.loyalty.rebuilding import REBUILDS

SERVICE = Service(
    name="loyalty",
    settings=Settings,
    router=router,
    publishes=PUBLISHES,
    handlers=HANDLERS,
    problems=PROBLEMS,
    rebuilds=REBUILDS,
)

if __name__ == "__main__":
    run(SERVICE)
