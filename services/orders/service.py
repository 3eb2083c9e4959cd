"""Puts the service together: `python -m services.orders.service`."""

from backbone.process import run
from backbone.service import Service
from services.orders.api import PROBLEMS, router
from services.orders.consumers import HANDLERS
from services.orders.events import PUBLISHES
from services.orders.jobs import JOBS
from services.orders.measuring import UNCONFIRMED
from services.orders.placing import PLACING
from services.orders.rebuilding import REBUILDS
from services.orders.settings import Settings

SERVICE = Service(
    name="orders",
    settings=Settings,
    router=router,
    publishes=PUBLISHES,
    handlers=HANDLERS,
    jobs=JOBS,
    grouped=(PLACING,),
    gauges=(UNCONFIRMED,),
    problems=PROBLEMS,
    rebuilds=REBUILDS,
    keeps_keys=True,
)

if __name__ == "__main__":
    run(SERVICE)
