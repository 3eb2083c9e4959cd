"""Gives each bench Postgres and Kafka of its own, and runs the programs it starts; all gone when it ends."""

import asyncio
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench import meter
from bench.meter import Meter, Reading
from deployment.addresses import database_url, in_database
from deployment.migrate import migrate
from deployment.passwords import Passwords
from local import HOME, kafka, postgres
from local.program import Program, Server, last_lines, options, python, run

FOLDER = HOME / "bench"
# As a small server would have it. Durability is Postgres's default: fsync and synchronous_commit are on.
POSTGRES = {
    **postgres.SETTINGS,
    "wal_level": "logical",  # Debezium reads the log; ours do not need it, but both shall pay for it
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "logical_decoding_work_mem": "256MB",
}


@dataclass(frozen=True)
class Scale:
    """Says how much is measured: `quick` keeps one bench under a minute."""

    quick: bool

    def of(self, full: Any, quick: Any) -> Any:
        return quick if self.quick else full

    @property
    def rounds(self) -> int:
        return 3 if self.quick else 5

    @property
    def spare(self) -> int:
        """The number of disturbed rounds that may be thrown away; a quick run has no time to repeat any."""
        return 0 if self.quick else 5


class Stage:
    """Holds the servers and whatever else runs. Made by `stage`, used from the main thread only."""

    def __init__(self, folder: Path, scale: Scale, tell: Callable[[str], None], stack: ExitStack) -> None:
        self.folder = folder
        self.scale = scale
        self.tell = tell
        self.pids: dict[str, int] = {}
        self._stack = stack
        tell("starting Postgres and Kafka")
        database = postgres.start(folder / "postgres", settings=POSTGRES)
        stack.callback(database.stop)
        self.postgres = database.url
        self.kafka = kafka.start(folder / "kafka", is_open=True)
        stack.callback(self.kafka.stop)
        self.pids |= {"postgres": database.server.pid, "kafka": self.kafka.server.pid}

    @property
    def bootstrap(self) -> str:
        return self.kafka.bootstrap

    def migrate(self) -> None:
        """Make every service's database and topic, as `up` does."""
        self.tell("making databases and topics")
        asyncio.run(migrate(self.postgres, self.kafka.admin, self._passwords, lambda _: None))

    @property
    def _passwords(self) -> Passwords:
        return Passwords(self.folder / "passwords")

    def database(self, service: str) -> str:
        """Return the address of a service's own database for the bench, which may do everything with it."""
        return in_database(self.postgres, service)

    def as_service(self, service: str) -> str:
        """Return the address of a service's own database under the role as which the service runs."""
        return database_url(self.postgres, service, service, self._passwords.of(service))

    def new_database(self, name: str, *, like: str = "template0") -> str:
        """Make a database of the superuser, empty or a copy; return its address."""
        self.sql(self.postgres, f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
        return self.postgres.rpartition("/")[0] + f"/{name}"

    def sql(self, url: str, *statements: str) -> Any:
        """Run statements; return the first value of the last one's first row."""
        return asyncio.run(_execute(url, statements))

    @contextmanager
    def running(self, program: Program) -> Iterator[Server]:
        """Run the program during the block; its log stays in the folder until the bench ends."""
        server = run(program, self.folder / f"{program.name}.log")
        self.pids[program.name] = server.pid
        try:
            yield server
        finally:
            del self.pids[program.name]
            server.stop()

    def start(self, program: Program) -> Server:
        """Run the program until the bench ends."""
        return self._stack.enter_context(self.running(program))

    def settle(self) -> None:
        """Write to disk the pages that earlier samples left behind, and wait until nothing of ours has work left."""
        self.sql(self.postgres, "CHECKPOINT")
        self.calm()

    def calm(self) -> None:
        """Wait until nothing of ours has work left, 30 seconds at most (quick: 3)."""
        meter.calm(within=self.scale.of(30.0, 3.0))

    def meter(self) -> Meter:
        return Meter(self.pids)

    def call(self, module: str, request: Mapping[str, Any], timeout: float = 600.0) -> tuple[Any, Reading]:
        """Run one of our modules to its end, with JSON as its argument; return its JSON and what it cost by process."""
        clock = self.meter()
        with self.begin(module, request) as call:
            answer = call.answer(timeout)
        return answer, clock.read()

    @contextmanager
    def begin(self, module: str, request: Mapping[str, Any]) -> Iterator["Call"]:
        """Run one of our modules during the block."""
        log = self.folder / f"{module}.log"
        with log.open("ab") as output:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                python("-m", module, json.dumps(request)),
                **{**options(Program(module, ()), output), "stdout": subprocess.PIPE, "stderr": output},
            )
        try:
            yield Call(process, log)
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Call:
    """Holds a module of ours at work."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def answer(self, timeout: float = 600.0) -> Any:
        """Wait for its end; return the JSON it printed. Raises RuntimeError when it fails."""
        said, _ = self.process.communicate(timeout=timeout)
        if self.process.returncode != 0:
            tail = "\n".join(last_lines(self.log, 20))
            raise RuntimeError(f"{self.log.stem} ended with exit code {self.process.returncode}:\n{tail}")
        return json.loads(said)


async def _execute(url: str, statements: Sequence[str]) -> Any:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement, timeout=3600)
        return await connection.fetchval(statements[-1], timeout=3600)
    finally:
        await connection.close()


@contextmanager
def stage(scale: Scale, tell: Callable[[str], None]) -> Iterator[Stage]:
    """Start servers on a new folder beside our other data, for it has to lie on a real disk; remove it afterwards."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=FOLDER))
    try:
        with ExitStack() as stack:
            yield Stage(folder, scale, tell, stack)
    except Exception:
        _keep_logs(folder)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep_logs(folder: Path) -> None:
    """Keep what the programs said before a bench failed, for whoever wants to know why."""
    kept = FOLDER / "failed"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for log in [*folder.glob("*.log"), *folder.glob("*/server.log")]:
        shutil.copyfile(log, kept / "-".join(log.relative_to(folder).parts))
