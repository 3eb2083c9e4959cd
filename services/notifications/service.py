"""Puts the service together: `python -m services.notifications.service`."""

from backbone.process import run
from backbone.service import Service
from services.notifications import events
from services.notifications.api import router
from services.notifications.consumers import HANDLERS
from services.notifications.jobs import JOBS
from services.notifications.rebuilding import REBUILDS
from services.notifications.settings import Settings

SERVICE = Service(
    name="notifications",
    settings=Settings,
    router=router,
    publishes=events.PUBLISHES,
    handlers=HANDLERS,
    rebuilds=REBUILDS,
    jobs=JOBS,
)

if __name__ == "__main__":
    run(SERVICE)
