"""Fixtures that all tests share: one Postgres and one Kafka for each process, and a database for whoever asks."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from xdist.scheduler import LoadScopeScheduling

from backbone.storage import migrations
from backbone.storage.confined import customers_of
from deployment import grants
from deployment.doors import Doors
from deployment.roles import READER
from local import ports
from tests import goodbyes, once, processes, servers
from tests.issuing import BELIEVED
from tests.journal import Journal
from tests.progress import Progress
from tests.system import Shop

UNIT = Path(__file__).parent / "unit"
MOST_WORKERS = 4

ROLE = """
DO $$ BEGIN IF to_regrole('"{0}"') IS NULL THEN CREATE ROLE "{0}"; END IF; END $$
"""
NewDatabase = Callable[[str], str]

SHARING = ("tests/e2e/", "tests/faults/")
IN_A_BROWSER = "tests/console/"
SYSTEM_OF_THEIR_OWN = ("tests/faults/test_chaos.py", "tests/faults/test_servers_away.py")


def pytest_report_header() -> str:
    return f"servers: {servers.chosen()} (SLICELINE_TEST_SERVERS=docker|local chooses)"


def _own_ports(worker: str) -> range:
    """Return the ports of one of the processes that run tests: what it has drawn, no other takes before it does."""
    which = int(worker.removeprefix("gw") or 0) if worker else MOST_WORKERS - 1
    width = len(ports.drawn_from) // MOST_WORKERS
    start = ports.drawn_from.start + which % MOST_WORKERS * width
    return range(start, start + width)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Close the doors, for all that reads settings; whoever is to be let in names an issuer that is there.

    Where tests are spread over processes, only the one that reports is told how far all of them are.
    """
    goodbyes.say()
    once.make()
    ports.drawn_from = _own_ports(getattr(config, "workerinput", {}).get("workerid", ""))
    os.environ.pop("SLICELINE_AUTH", None)
    os.environ["SLICELINE_ISSUER"] = BELIEVED
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(reporter))


class Grouped(LoadScopeScheduling):
    """Tests of the whole system share one, so they stay in one process, and those in a browser share another; of all
    others, each file does.

    They are handed out in the order of their folders: first what takes longest, last what takes moments.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith(IN_A_BROWSER):
            return IN_A_BROWSER
        return "system" if file.startswith(SHARING) and file not in SYSTEM_OF_THEIR_OWN else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Grouped:
    return Grouped(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if twice := [test for test, times in Counter(item.nodeid for item in items).items() if times > 1]:
        raise pytest.UsageError(f"Tests of one id are run once when they are spread over processes: {twice}")
    for item in items:
        if item.path.is_relative_to(UNIT):
            item.add_marker("unit")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The superuser's URL of a real Postgres."""
    with servers.postgres(servers.chosen()) as url:
        yield url


@pytest.fixture(scope="session")
def doors() -> Iterator[Doors]:
    """The doors of a real Kafka, the whole system's."""
    with servers.kafka(servers.chosen()) as doors:
        yield doors


@pytest.fixture(scope="session")
def system(postgres: str, doors: Doors, tmp_path_factory: pytest.TempPathFactory) -> Iterator[processes.System]:
    """The services that an order passes and the world outside, as processes of their own."""
    with processes.running(postgres, doors, tmp_path_factory.mktemp("system")) as started:
        yield started


@pytest.fixture(scope="session")
def journal(doors: Doors) -> Journal:
    """What the topics carried."""
    return Journal(doors.user(servers.TESTS))


@pytest.fixture(scope="session")
def spoilt() -> set[str]:
    """Keys whose events tests made unhandleable."""
    return set()


@pytest.fixture
async def shop(
    request: pytest.FixtureRequest, system: processes.System, journal: Journal, spoilt: set[str]
) -> AsyncIterator[Shop]:
    """The whole system; whatever a test does to processes and provider is undone after it.

    Services that an order does not pass are there only for tests that ask for them, `@pytest.mark.beside("carts")`.
    """
    marker = request.node.get_closest_marker("beside")
    await system.have_beside(marker.args if marker else ())
    system.mark()
    limits = httpx.Limits(max_connections=100)
    timeout = httpx.Timeout(60, pool=None)
    async with httpx.AsyncClient(timeout=timeout, trust_env=False, limits=limits, auth=system.visitor()) as client:
        shop = Shop(system, client, journal, spoilt)
        yield shop
        await system.mend()
        await shop.moods()
        await shop.limit_provider(0)
        await shop.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails on the whole system shows what its processes complained about."""
    report = yield
    shop = getattr(item, "funcargs", {}).get("shop")
    if report.failed and isinstance(shop, Shop):
        report.sections.append(("complaints of the shop's processes", "\n".join(shop.system.complaints())))
    return report


@pytest.fixture(scope="session")
def template(postgres: str) -> Callable[[str], str]:
    """Gives the name of a service's migrated database, to be copied."""

    @cache
    def make(service: str) -> str:
        name = f"template_{service}_{uuid4().hex[:8]}"
        roles = (service, customers_of(service), READER)
        _execute(postgres, *(ROLE.format(role) for role in roles), f'CREATE DATABASE "{name}"')
        migrations.upgrade(service, _url(postgres, name), afterwards=partial(grants.bring_up_to_date, service))
        return name

    return make


@pytest.fixture(scope="module")
def new_database(postgres: str, template: Callable[[str], str]) -> Iterator[NewDatabase]:
    """Gives the URL of a fresh, migrated database of a service: `new_database("orders")`.

    It is gone after the tests of the file: hundreds that are removed together at the end take a minute.
    """
    made: list[str] = []

    def create(service: str) -> str:
        name = f"{service}_{uuid4().hex[:8]}"
        _execute(postgres, f'CREATE DATABASE "{name}" TEMPLATE "{template(service)}" STRATEGY file_copy')
        made.append(name)
        return _url(postgres, name)

    yield create
    _execute(postgres, *(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)' for name in made))


def _url(postgres: str, name: str) -> str:
    return f"{postgres.rsplit('/', 1)[0]}/{name}"


def _execute(postgres: str, *statements: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(postgres)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute())
