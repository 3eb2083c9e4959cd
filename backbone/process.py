"""Runs one process of a service: starts the parts its roles ask for, watches them, and stops them in good order."""

import argparse
import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from pydantic import ValidationError

from backbone import declared
from backbone.application import create_application
from backbone.consuming import redriving
from backbone.consuming.consumer import Consumer
from backbone.consuming.redrive import KIND as REDRIVE
from backbone.context import Context
from backbone.errors import SlicelineError
from backbone.events import contracts
from backbone.http.wire.server import Server
from backbone.http.wording import in_plain_words
from backbone.jobs.worker import Worker
from backbone.observing import logs, telemetry
from backbone.observing.logs import logger
from backbone.publishing.chaining import Chaining
from backbone.publishing.relay import Relay
from backbone.running.pulse import Pulse
from backbone.running.watchdog import Watchdog
from backbone.sealing.sealing import WrongMasterKey
from backbone.service import S, Service
from backbone.settings import Settings
from backbone.storage import objects
from backbone.storage.bell import Bell
from backbone.storage.database import Database
from backbone.storage.housekeeping import Housekeeping
from backbone.storage.sessions import Sessions, SharedSessions, answered_at_once

STOP_WITHIN = 8.0
"""Seconds that the parts have to end what they have in hand; then they are cut off, which is safe as well."""

BEAT = 5.0
"""Seconds after which the event loop shows the watchdog that it turns; sooner where the watchdog is impatient."""

SILENT = 20.0
"""Seconds after which a Kafka client that brings no record, though some wait, is replaced.

Half a minute after its broker is back a consumer has to go on, and meanwhile aiokafka may have ended its fetching for
good: under uvloop a write to a connection that was just closed meets it with an error that it does not expect.
"""

MOST_FILES = 65_536
"""Open files, connections among them, that a process asks for."""


COLLECTING = (20_000, 20, 20)
"""When Python looks for garbage. Every batch makes thousands of objects that go without its help: looking through them
after each 700 took a tenth of the time."""


class PartEnded(SlicelineError):
    """A part of the process ended without being asked to; the supervisor starts the process anew."""


class Part(Protocol):
    """Is a part, which runs until it is told to stop."""

    pulse: Pulse

    async def run(self) -> None: ...

    def stop(self) -> None: ...


def run(service: Service[Any]) -> None:
    """Run a process of this service until SIGTERM or SIGINT.

    Exits with 2 when it is not given what it needs, or reads or publishes what no contract describes.
    """
    settings = _settings(service)
    contracts.serve_from(settings.schemas_url)
    objects.keep_in(settings.objects)
    _check_declared(service)
    logs.start(service.name, settings.log_level, settings.log_format)
    if settings.auth == "off":
        logger.warning("everybody who reaches the port may do everything (SLICELINE_AUTH=off)", action="doors-open")
    if service.keeps_keys and not settings.masters:
        logger.warning("nothing is sealed: there is no master key (SLICELINE_MASTER_KEY)", action="no-master-key")
    _allow_many_connections()
    provider = telemetry.start(service.name, settings.otlp_endpoint)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(service, settings))
    except (SharedSessions, WrongMasterKey) as refused:
        sys.stderr.write(f"{service.name}: {refused}\n")
        raise SystemExit(2) from None
    finally:
        telemetry.stop(provider)


def _allow_many_connections() -> None:
    """Ask the system for as many open files as it grants: each follower is one, and many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has limits that it does not tell of
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _settings(service: Service[S]) -> S:
    parser = argparse.ArgumentParser(prog=f"python -m services.{service.name}.service")
    parser.add_argument("--roles", help="which parts to run, of: api,relay,consumers,jobs (default: all)")
    given = parser.parse_args()
    if given.roles:
        os.environ["SLICELINE_ROLES"] = given.roles
    try:
        return service.settings()
    except ValidationError as error:
        for each in error.errors():
            sys.stderr.write(f"{service.name}: {_variable(each['loc'])} {in_plain_words(each)}\n")
        raise SystemExit(2) from None


def _variable(location: Sequence[int | str]) -> str:
    """Return the environment variable of a setting; one that has a name of its own has it in capitals."""
    name = str(location[0])
    return name if name.isupper() else f"SLICELINE_{name.upper()}"


def _check_declared(service: Service[Any]) -> None:
    if wrong := declared.objections(service):
        sys.stderr.write("".join(f"{said}\n" for said in wrong))
        raise SystemExit(2)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def serve(service: Service[Any], settings: Settings) -> None:
    """Run the parts until a signal or until one of them ends by itself."""
    password_file = settings.database_password_file
    context = Context(settings, Database(settings.database_address, service.name, settings.pool_size, password_file))
    sessions = Sessions(context.database)
    parts: list[Part] = [sessions, Bell(context.database), *_parts(service, context)]
    application = create_application(service, context)
    server = Server(application, settings.host, settings.port, stop_within=int(STOP_WITHIN) - 3)
    for part in parts:
        context.checks[part.pulse.name] = _check(part.pulse)
    try:
        await sessions.look()
        await answered_at_once(context.sealing.check())
        await _run_all(server, parts, context)
    finally:
        await context.close()


def _parts(service: Service[Any], context: Context[Any]) -> list[Part]:
    settings, database = context.settings, context.database
    kafka = settings.brokers(service.name)
    parts: list[Part] = []
    if settings.has_role("relay") and service.publishes:
        alone = settings.roles == "relay"
        parts.append(Relay(database, kafka, poll=0.05 if alone else 0.5))
    if settings.has_role("consumers") and service.handlers:
        silent = min(SILENT, settings.stuck_after_seconds)
        parts.append(Consumer(service.name, service.handlers, database, kafka, stuck_after=silent))
    if settings.has_role("jobs"):
        parts += [Worker(kind, work, context) for kind, work in service.jobs.items()]
        if service.handlers:
            parts.append(Worker(REDRIVE, redriving.work(service.name, service.handlers), context))
        parts.append(Housekeeping(database, settings))
    parts.append(Chaining(context, service.tells_acts, chains=settings.has_role("relay")))
    return parts


def _check(pulse: Pulse) -> Any:
    return lambda: pulse.problem


async def _run_all(server: Server, parts: list[Part], context: Context[Any]) -> None:
    settings, stopping = context.settings, context.stopping
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    pulse = Pulse("event loop")
    Watchdog([pulse, *(part.pulse for part in parts)], settings.stuck_after_seconds).start()
    gc.freeze()  # what was imported stays; scanning it again and again only makes pauses
    gc.set_threshold(*COLLECTING)
    tasks = [asyncio.create_task(server.serve(), name="api")]
    tasks += [asyncio.create_task(part.run(), name=part.pulse.name) for part in parts]
    beating = asyncio.create_task(_beat(pulse, every=min(BEAT, settings.stuck_after_seconds / 4)))
    logger.info("started", action="process-started", roles=settings.roles, port=settings.port)
    await asyncio.wait([*tasks, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    early = [task.get_name() for task in tasks if task.done()]
    logger.info("stopping", action="process-stopping", ended_by_itself=early)
    stopping.set()
    server.should_exit = True
    for part in parts:
        part.stop()
    _, late = await asyncio.wait(tasks, timeout=STOP_WITHIN)
    beating.cancel()
    for task in late:
        task.cancel()
    ended, _ = await asyncio.wait(tasks, timeout=1)  # a library may swallow the cancellation
    logger.info("stopped", action="process-stopped", cut_off=[task.get_name() for task in late])
    _raise_first(ended)
    if early:
        raise PartEnded(f"{', '.join(early)} ended without being asked to.")


def _raise_first(ended: Iterable[asyncio.Task[None]]) -> None:
    """Raise the error of a part that failed by itself, so that the process ends with it and the supervisor sees it."""
    for task in ended:
        if not task.cancelled() and (error := task.exception()):
            raise error


async def _beat(pulse: Pulse, every: float) -> None:
    while True:
        pulse.beat()
        await asyncio.sleep(every)
