"""Puts the service together: `python -m services.reminders.service`."""

from backbone.process import run
from backbone.service import Service
from services.reminders.api import PROBLEMS, router
from services.reminders.consumers import HANDLERS
from services.reminders.events import PUBLISHES
from services.reminders.jobs import JOBS
from services.reminders.settings import Settings

SERVICE = Service(
    name="reminders",
    settings=Settings,
    router=router,
    publishes=PUBLISHES,
    handlers=HANDLERS,
    jobs=JOBS,
    problems=PROBLEMS,
)

if __name__ == "__main__":
    run(SERVICE)
