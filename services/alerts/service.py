"""Alerts as a process."""

from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings
from services.alerts import events
from services.alerts.api import router
from services.alerts.consumers import HANDLERS

SERVICE = Service(
    name="alerts",
    settings=Settings,
    router=router,
    publishes=events.PUBLISHES,
    handlers=HANDLERS,
)

if __name__ == "__main__":
    run(SERVICE)
