"""The processes of the whole system, each of which a test may stop, kill, freeze and start again."""

import asyncio
import base64
import functools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from deployment import people
from deployment.addresses import database_url, in_database
from deployment.doors import Doors
from deployment.migrate import migrate
from deployment.passwords import Passwords
from local import ROOT, probes, programs
from local.ports import HOST, free_port
from local.program import Program, last_lines, python
from sandbox.own_token import OwnToken
from services import CATALOGUE
from tests.forking import Fork, start

MASTER_KEY = base64.b64encode(b"the master key of no shop at all").decode()
READY_WITHIN = 180.0
STOP_WITHIN = 15.0
SANDBOX = ("identity", "provider", "mail")
CONSOLE = people.CONSOLE
VISITOR = "tests"
"""As whom the tests ask, who may do all that an administrator may."""
ORDER_FLOW = ("orders", "inventory", "payments", "kitchen", "delivery", "loyalty", "alerts", "notifications")
"""The services that an order passes, or is told to."""
BESIDE = tuple(name for name in CATALOGUE if name not in ORDER_FLOW)
"""All others: each may be absent, and is, unless a test asks for it."""


@dataclass
class Process:
    """One program, running or not; its output is appended to one log, whatever happens to it."""

    program: Program
    log: Path
    running: "Fork | subprocess.Popen[bytes] | None" = None
    started: datetime | None = None
    mark: int = 0
    end_awaited: bool = False

    @property
    def alive(self) -> bool:
        return self.running is not None and self.running.poll() is None

    @property
    def pid(self) -> int:
        assert self.running is not None
        return self.running.pid

    def launch(self, env: Mapping[str, str] | None = None) -> None:
        """Start it, from the main thread: the system ends a child with the thread that made it."""
        program = replace(self.program, env={**self.program.env, **(env or {})})
        self.started, self.end_awaited = datetime.now(UTC), False
        with self.log.open("ab") as output:
            self.running = start(program, output)

    async def until_ready(self, within: float = READY_WITHIN) -> None:
        deadline = time.monotonic() + within
        while not await asyncio.to_thread(self.program.ready):
            tail = "\n".join(last_lines(self.log, 20))
            assert self.alive, f"{self.program.name} has ended:\n{tail}"
            assert time.monotonic() < deadline, f"{self.program.name} is not ready after {within} s:\n{tail}"
            await asyncio.sleep(0.05)

    async def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start it and wait until it is ready; `env` holds until its next start."""
        self.launch(env)
        await self.until_ready()

    async def stop(self) -> int:
        """SIGTERM, and wait for the end. Returns the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended(STOP_WITHIN)

    async def kill(self) -> int:
        """SIGKILL, also when frozen. Returns the exit code."""
        self.signal(signal.SIGKILL)
        return await self.ended(STOP_WITHIN)

    async def ended(self, within: float) -> int:
        """Wait until it ends, by itself or not. Returns the exit code."""
        assert self.running is not None
        self.end_awaited = True
        return await asyncio.to_thread(self.running.wait, within)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.killpg(self.pid, number)

    def complaints(self, most: int = 8) -> list[str]:
        """The last warnings and errors since the mark."""
        if not self.log.exists():
            return []
        lines = self.log.read_bytes()[self.mark :].decode(errors="replace").splitlines()
        return [f"{self.program.name}: {line[:1500]}" for line in lines if _is_complaint(line)][-most:]


def _is_complaint(line: str) -> bool:
    try:
        return json.loads(line)["level"] not in ("info", "debug")
    except (ValueError, KeyError, TypeError):
        return "Error" in line or "Traceback" in line


@dataclass
class System:
    """Migrated servers and the processes on them; `processes` has replicas as well, as `inventory-2`."""

    postgres: str = field(repr=False)
    kafka: Doors
    logs: Path
    ports: dict[str, int] = field(default_factory=dict, repr=False)
    processes: dict[str, Process] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    @property
    def services(self) -> list[str]:
        """Those that are there, also while a test has stopped one."""
        return [name for name in CATALOGUE if name in self.processes]

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"

    @property
    def passwords(self) -> Passwords:
        """Where the passwords of the roles lie."""
        return Passwords(self.logs / "passwords")

    def database_url(self, service: str) -> str:
        """A service's database, under the role as which the service runs."""
        return database_url(self.postgres, service, service, self.passwords.of(service))

    def whole_database_url(self, service: str) -> str:
        """The same for the tests, which may do everything with it."""
        return in_database(self.postgres, service)

    @property
    def objects(self) -> Path:
        """Where data lies that is too large for a topic."""
        return self.logs / "objects"

    @property
    def identity(self) -> Path:
        """Where the identity provider keeps who there is."""
        return self.logs / "identity"

    def visitor(self) -> OwnToken:
        """What says to the services that the tests ask them."""
        return OwnToken(VISITOR, self.url("identity"), str(people.key_of(self.identity, VISITOR)))

    async def begin(self) -> None:
        """Make everything, and start what an order needs; wait until that is ready."""
        await self.prepare()
        await self.start()

    async def prepare(self) -> None:
        """Make databases, topics and a folder for objects, and choose where everybody listens."""
        self.objects.mkdir(exist_ok=True)
        await migrate(self.postgres, self.kafka, self.passwords, print)
        self.ports = {name: free_port() for name in ("smtp", CONSOLE, *SANDBOX, *CATALOGUE)}

    async def start(self) -> None:
        """Start what an order needs; wait until it is ready."""
        for program in (self._identity(), self._provider(), self._mail(), *map(self.service, ORDER_FLOW)):
            self._new(program).launch()
        await asyncio.gather(*(process.until_ready() for process in self.processes.values()))

    async def have_beside(self, wanted: Collection[str]) -> None:
        """Of the services that an order does not pass have these, ready, and no other."""
        unwanted = [name for name in BESIDE if name in self.processes and name not in wanted]
        await asyncio.gather(*(self.processes.pop(name).stop() for name in unwanted))
        new = [self._new(self.service(name)) for name in wanted if name not in self.processes]
        for process in new:
            process.launch()
        await asyncio.gather(*(process.until_ready() for process in new))

    async def replica(self, service: str, roles: str = "relay,consumers,jobs", build: Path = ROOT) -> Process:
        """One more process of a service, ready; `build`: the folder of its code, which may be another than this."""
        number = 2 + sum(name.startswith(f"{service}-") for name in self.processes)
        name = f"{service}-{number}"
        self.ports[name] = free_port()
        program = self.service(service, self.ports[name])
        env = {**program.env, "SLICELINE_ROLES": roles} | ({"PYTHONPATH": str(build)} if build != ROOT else {})
        process = self._new(replace(program, name=name, env=env, cwd=build))
        await process.start()
        return process

    async def robot(self, delay: float = 0) -> Process:
        """Staff that presses every button, until the test ends."""
        process = self.processes.get("robot") or self._new(
            Program(
                name="robot",
                command=python("-m", "sandbox.robot"),
                stop_signal=signal.SIGKILL,
                env={
                    "SLICELINE_KITCHEN_URL": self.url("kitchen"),
                    "SLICELINE_DELIVERY_URL": self.url("delivery"),
                    "SLICELINE_ROBOT_DELAY": str(delay),
                    **self.doors("robot"),
                },
            )
        )
        await process.start()
        return process

    async def console(self) -> Process:
        """The shop in a browser, ready; it goes on."""
        process = self.processes.get(CONSOLE) or self._new(
            Program(
                name=CONSOLE,
                command=python("-m", "services.console"),
                ready=functools.partial(probes.http_ready, self.ports[CONSOLE]),
                stop_signal=signal.SIGKILL,
                env={
                    "SLICELINE_HOST": HOST,
                    "SLICELINE_PORT": str(self.ports[CONSOLE]),
                    "SLICELINE_CONSOLE_URL": self.url(CONSOLE),
                    "SLICELINE_SERVICES": ",".join(f"{each}={self.url(each)}" for each in CATALOGUE),
                    **self.doors(CONSOLE),
                },
            )
        )
        if not process.alive:
            await process.start()
        return process

    async def mend(self) -> None:
        """Undo what a test did to processes: no robot, no replicas, everybody else awake and running.

        Fails when one has ended though no test had asked for it.
        """
        died = [name for name, process in self.processes.items() if not process.alive and not process.end_awaited]
        for name, process in list(self.processes.items()):
            process.thaw()
            if name not in (CONSOLE, *SANDBOX, *CATALOGUE):
                await process.kill()
                del self.processes[name]
        for process in self.processes.values():
            if not process.alive:
                process.launch()
        await asyncio.gather(*(process.until_ready() for process in self.processes.values()))
        assert not died, f"ended by themselves: {', '.join(died)}"

    def end(self) -> None:
        for process in self.processes.values():
            process.signal(signal.SIGKILL)
            if process.running:
                process.running.wait()

    def mark(self) -> None:
        """Complaints are counted from here."""
        for process in self.processes.values():
            process.mark = process.log.stat().st_size if process.log.exists() else 0

    def complaints(self) -> list[str]:
        return [line for process in self.processes.values() for line in process.complaints()]

    def service(self, name: str, port: int | None = None) -> Program:
        """How a service is started here. It dies hard with the tests: a frozen process would not die otherwise."""
        port = port or self.ports[name]
        return Program(
            name=name,
            command=python("-m", f"services.{name}.service"),
            ready=functools.partial(probes.http_ready, port),
            stop_signal=signal.SIGKILL,
            env={
                "SLICELINE_DATABASE_URL": self.database_url(name),
                **self.kafka.user(name).environment(),
                **self.doors(name),
                "SLICELINE_OBJECTS": self.objects.as_uri(),
                "SLICELINE_HOST": HOST,
                "SLICELINE_PORT": str(port),
                "SLICELINE_ORDERS_URL": self.url("orders"),
                "SLICELINE_PROVIDER_URL": self.url("provider"),
                "SLICELINE_PROVIDER_RATE": "0",
                "SLICELINE_MASTER_KEY": MASTER_KEY,
                "SLICELINE_SERVICES": ",".join(f"{each}={self.url(each)}" for each in CATALOGUE if each in self.ports),
                **({"SLICELINE_SCHEMAS_URL": f"{self.url('ledger')}/catalogue"} if "ledger" in self.ports else {}),
                "SLICELINE_SMTP_HOST": HOST,
                "SLICELINE_SMTP_PORT": str(self.ports["smtp"]),
                # Tests share a SKU, and each wants to hear of it.
                "SLICELINE_ALERT_QUIET_SECONDS": "0",
                "SLICELINE_PUBLISH_SAMPLES": "true",
                # Orders that tests leave open would be told to be late while others look at a shop at rest.
                "SLICELINE_DELAY_AFTER_SECONDS": "86400",
            },
        )

    def doors(self, name: str) -> dict[str, str]:
        """Tell a program who signs tokens, and by which key it gets its own."""
        key = people.key_of(self.identity, name)
        return {
            "SLICELINE_ISSUER": self.url("identity"),
            # It tells that by itself, unlike the issuer whom the tests of one service believe.
            "SLICELINE_ISSUER_KEYS": "",
            "SLICELINE_ISSUER_TOKENS": "",
            "SLICELINE_IDENTITY_KEY_FILE": str(key),
        }

    def _identity(self) -> Program:
        described = programs.identity(self.ports["identity"], self.identity, {VISITOR: ("admin",)})
        return replace(described, stop_signal=signal.SIGKILL)

    def _provider(self) -> Program:
        env = {
            "SLICELINE_HOST": HOST,
            "SLICELINE_PROVIDER_PORT": str(self.ports["provider"]),
            "SLICELINE_PROVIDER_RATE": "0",
            "SLICELINE_PROVIDER_LEDGER": str(self.logs / "ledger.jsonl"),
        }
        return self._sandbox("provider", env, functools.partial(probes.http_ready, self.ports["provider"]))

    def _mail(self) -> Program:
        env = {
            "SLICELINE_HOST": HOST,
            "SLICELINE_MAIL_PORT": str(self.ports["mail"]),
            "SLICELINE_SMTP_PORT": str(self.ports["smtp"]),
        }
        return self._sandbox("mail", env, functools.partial(probes.http_ready, self.ports["mail"], "/readyz"))

    def _sandbox(self, name: str, env: Mapping[str, str], ready: Callable[[], bool]) -> Program:
        command = python("-m", f"sandbox.{name}")
        return Program(name=name, command=command, ready=ready, env=env, stop_signal=signal.SIGKILL)

    def _new(self, program: Program) -> Process:
        process = Process(program, self.logs / f"{program.name}.log")
        self.processes[program.name] = process
        return process


@contextmanager
def running(postgres: str, kafka: Doors, logs: Path) -> Iterator[System]:
    """The whole system but for the services beside it, ready, for as long as the block lasts."""
    system = System(postgres, kafka, logs)
    try:
        asyncio.run(system.begin())
        yield system
    finally:
        system.end()
