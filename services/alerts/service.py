"""Puts the service together: `python -m services.alerts.service`."""

from backbone.process import run
from backbone.service import Service
from services.alerts import events
from services.alerts.api import router
from services.alerts.consumers import HANDLERS
from services.alerts.jobs import JOBS
from services.alerts.rebuilding import REBUILDS
from services.alerts.settings import Settings

SERVICE = Service(
    name="alerts",
    settings=Settings,
    router=router,
    publishes=events.PUBLISHES,
    handlers=HANDLERS,
    rebuilds=REBUILDS,
    jobs=JOBS,
)

if __name__ == "__main__":
    run(SERVICE)
