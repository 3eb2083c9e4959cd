"""`./sliceline webhooks listen` beside a webhooks service that runs."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.ports import HOST, free_port
from local.program import Program, python
from tests.conftest import NewDatabase
from tests.integration.service_process import ServiceProcess, process_of
from tests.processes import Process
from tests.waiting import eventually

LISTEN = """
from cli import __main__, webhooks
webhooks.address_of = lambda name: {service!r}
__main__.app(["webhooks", "listen", *{arguments!r}])
"""


@dataclass
class Shop:
    """The service, and the port that it may call."""

    service: ServiceProcess
    port: int
    folder: Path

    def listener(self, *arguments: str, port: int | None = None) -> Process:
        script = LISTEN.format(
            service=str(self.service.client.base_url), arguments=("--port", str(port or self.port), *arguments)
        )
        program = Program(name="listen", command=python("-c", script))
        process = Process(program, self.folder / f"listen-{len(list(self.folder.iterdir()))}.log")
        process.launch()
        return process

    async def endpoints(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.service.client.get("/endpoints")).json()["items"]
        return found

    async def until_one_but(self, *others: str) -> str:
        """Wait for the one endpoint that there is, and is none of these; return its id."""

        async def found() -> str:
            ids = [each["id"] for each in await self.endpoints()]
            return ids[0] if len(ids) == 1 and ids[0] not in others else ""

        return await eventually(found, 45)


@pytest.fixture
async def shop(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Shop]:
    url, port = await asyncio.to_thread(new_database, "webhooks"), free_port()
    may = {"webhook_networks": HOST, "webhook_ports": str(port), "database_url": url}
    module, log = "services.webhooks.service", tmp_path / "webhooks.log"
    async with process_of(module, log, "--roles", "api", **may) as service:
        await service.until_waiting_for()
        yield Shop(service, port, tmp_path)


async def test_a_listener_deletes_its_endpoint_however_it_is_asked_to_end(shop: Shop) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        listener = shop.listener()
        await shop.until_one_but()
        listener.signal(number)
        assert await listener.ended(20) == 0, listener.log.read_text()
        assert await shop.endpoints() == []


async def test_a_listener_deletes_what_one_that_was_killed_has_left_at_its_address_and_nothing_else(shop: Shop) -> None:
    killed = shop.listener()
    left = await shop.until_one_but()
    await killed.kill()
    listener = shop.listener()
    made = await shop.until_one_but(left)
    await listener.kill()
    kept = await shop.service.client.patch(f"/endpoints/{made}", json={"description": "mine"})
    assert kept.status_code == 200
    listener = shop.listener()
    await eventually(lambda: "Ctrl-C deletes it" in listener.log.read_text(), 45)
    assert len(await shop.endpoints()) == 2
    await listener.kill()


async def test_a_listener_at_a_port_that_may_not_be_called_tells_which_may_be(shop: Shop) -> None:
    listener = shop.listener(port=free_port())
    assert await listener.ended(45) == 1
    said = listener.log.read_text()
    assert f"url must have one of the ports that are allowed: {shop.port}" in said


INTERRUPTED = """
import os, signal, sys
from cli import start

class Interrupting:
    def find_spec(self, *_):
        os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
start.main()
"""


def test_a_command_that_is_interrupted_while_it_is_loaded_says_nothing() -> None:
    done = subprocess.run(python("-c", INTERRUPTED), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
