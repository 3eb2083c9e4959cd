"""Puts the service together: `python -m services.router.service`."""

from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings
from services.router.api import PROBLEMS, router
from services.router.consumers import HANDLERS
from services.router.events import PUBLISHES

SERVICE = Service(
    name="router",
    settings=Settings,
    router=router,
    publishes=PUBLISHES,
    handlers=HANDLERS,
    problems=PROBLEMS,
)

if __name__ == "__main__":
    run(SERVICE)
