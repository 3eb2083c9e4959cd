"""Runs the console: `python -m services.console`."""

import asyncio
import signal
import sys

import httpx
from pydantic import ValidationError

from backbone.http.wire.server import Server
from backbone.http.wording import in_plain_words
from backbone.observing import logs
from backbone.observing.logs import logger
from services import CATALOGUE
from services.console.application import create_application
from services.console.asking import Services
from services.console.settings import ConsoleSettings

NAME = "console"
CONNECTIONS = httpx.Limits(max_connections=200, max_keepalive_connections=50)


def main() -> None:
    """Serve pages until SIGTERM or SIGINT. Exits with 2 when it is not told what it needs."""
    try:
        settings = ConsoleSettings()
    except ValidationError as error:
        for each in error.errors():
            sys.stderr.write(f"{NAME}: SLICELINE_{str(each['loc'][0]).upper()} {in_plain_words(each)}\n")
        raise SystemExit(2) from None
    logs.start(NAME, settings.log_level, settings.log_format)
    asyncio.run(serve(settings))


async def serve(settings: ConsoleSettings) -> None:
    """Serve pages until a signal."""
    addresses = {name: url for name in CATALOGUE if (url := settings.address_of(name))}
    http = httpx.AsyncClient(limits=CONNECTIONS, trust_env=False)
    application = create_application(settings, http, Services(http, addresses))
    server = Server(application, settings.host, settings.port)
    console = application.state.console

    def stop() -> None:
        console.feeds.stop()
        server.should_exit = True

    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop)
    logger.info("started", action="process-started", port=settings.port)
    await server.serve()
    await console.aclose()
    logger.info("stopped", action="process-stopped")


if __name__ == "__main__":
    main()
