"""Puts the service together: `python -m services.partners.service`."""

from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings
from services.partners.api import PROBLEMS, router
from services.partners.events import PUBLISHES

SERVICE = Service(
    name="partners",
    settings=Settings,
    router=router,
    publishes=PUBLISHES,
    problems=PROBLEMS,
)

if __name__ == "__main__":
    run(SERVICE)
