"""Notifications, put together."""

from backbone.process import run
from backbone.service import Service
from services.notifications.api import router
from services.notifications.consumers import HANDLERS
from services.notifications.events import NotificationSent
from services.notifications.jobs import JOBS
from services.notifications.settings import Settings

SERVICE = Service(
    name="notifications",
    settings=Settings,
    router=router,
    publishes=(NotificationSent,),
    handlers=HANDLERS,
    jobs=JOBS,
)

if __name__ == "__main__":
    run(SERVICE)
