"""Starts the steps of the way on real servers, each with all that it finds around it."""

import functools
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from backbone.running.retry import RetryPolicy, repeat
from local import ROOT, jars, kafka, postgres, probes
from local.ports import HOST, free_port
from local.program import Program, Server, await_ready, options, python

HERE = Path(__file__).resolve().parent
STEPS = sorted(path.parent.name for path in HERE.glob("step*/shop.py"))
TOPICS = ("orders.events", "payments.events")
# The programs of steps, each with a database of its own, and where it tells that it is ready.
PROGRAMS = {"shop": "/openapi.json", "mailer": "/health/ready", "payments": "/health/ready"}
OUTSIDE = {"provider": "/moods", "mail": "/readyz"}
AGAIN = RetryPolicy(first=timedelta(milliseconds=200), factor=1, attempts=100)


@dataclass
class World:
    """Holds what every step finds: Postgres, Kafka, a payment provider and a mail server."""

    postgres: str
    kafka: str
    logs: Path
    ports: Mapping[str, int] = field(
        default_factory=lambda: {name: free_port() for name in (*OUTSIDE, "smtp", *PROGRAMS)}
    )
    databases: dict[str, str] = field(default_factory=dict)
    running: dict[str, Server] = field(default_factory=dict)

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"

    async def make_databases(self) -> None:
        """Make an empty database for each program."""
        connection = await asyncpg.connect(self.postgres)
        for name in PROGRAMS:
            database = f"{name}_{uuid4().hex[:8]}"
            await connection.execute(f'CREATE DATABASE "{database}"')
            self.databases[name] = f"{self.postgres.rsplit('/', 1)[0]}/{database}"
        await connection.close()

    async def make_topics(self) -> None:
        """Make the topics, empty, in the place of those that there may be."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        try:
            with suppress(KafkaError):
                await admin.delete_topics(list(TOPICS))
            await repeat(lambda: _make_topics(admin), AGAIN, lambda error: isinstance(error, TopicAlreadyExistsError))
        finally:
            await admin.close()

    def start(self, step: str) -> None:
        """Start all programs of a step, and return when they are ready."""
        self._await_ready(self.launch(step))

    def launch(self, step: str) -> list[str]:
        """Start all programs of a step, from the main thread, with which they end; return their names."""
        there = [name for name in PROGRAMS if (HERE / step / f"{name}.py").exists()]
        return [self._launch(self._program(step, name)) for name in there]

    def start_outside(self, *names: str) -> None:
        """Start the payment provider, the mail server, or both, and return when they are ready."""
        self._await_ready([self._launch(self._program_outside(name)) for name in names])

    def kill(self, *names: str) -> None:
        """Kill these programs, as a power cut would; none named: all of the step in hand."""
        for server in self._gone(*names or PROGRAMS):
            server.kill()

    def stop(self) -> None:
        """Stop the step in hand in good order, all of it at once."""
        stopping = self._gone(*PROGRAMS)
        for server in stopping:
            server.process.terminate()
        for server in stopping:
            server.stop()

    def _gone(self, *names: str) -> list[Server]:
        return [server for name in names if (server := self.running.pop(name, None))]

    def _program(self, step: str, name: str) -> Program:
        return Program(
            name=name,
            command=python("-m", f"{step}.{name}"),
            ready=functools.partial(probes.http_ready, self.ports[name], PROGRAMS[name]),
            env={
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
                "SLICELINE_DATABASE_URL": self.databases[name],
                "SLICELINE_KAFKA": self.kafka,
                "SLICELINE_HOST": HOST,
                "SLICELINE_PORT": str(self.ports[name]),
                "SLICELINE_PROVIDER_URL": self.url("provider"),
                "SLICELINE_SMTP_PORT": str(self.ports["smtp"]),
            },
        )

    def _program_outside(self, name: str) -> Program:
        return Program(
            name=name,
            command=python("-m", f"sandbox.{name}"),
            ready=functools.partial(probes.http_ready, self.ports[name], OUTSIDE[name]),
            env={
                "SLICELINE_PROVIDER_PORT": str(self.ports["provider"]),
                "SLICELINE_PROVIDER_RATE": "0",
                "SLICELINE_MAIL_PORT": str(self.ports["mail"]),
                "SLICELINE_SMTP_PORT": str(self.ports["smtp"]),
            },
        )

    def _launch(self, program: Program) -> str:
        log = self.logs / f"{program.name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(program.command, **options(program, output))  # noqa: S603  a program of ours
        self.running[program.name] = Server(program, process, log)
        return program.name

    def _await_ready(self, names: Iterable[str]) -> None:
        for name in names:
            await_ready(self.running[name])


@contextmanager
def world(postgres: str, kafka: str, logs: Path) -> Iterator[World]:
    """Give a world on these servers, with provider and mail running; whatever else runs in it ends with it."""
    made = World(postgres, kafka, logs)
    try:
        made.start_outside(*OUTSIDE)
        yield made
    finally:
        made.kill(*list(made.running))


@contextmanager
def world_of_its_own() -> Iterator[World]:
    """Give a world on new servers; nothing is kept of it."""
    with TemporaryDirectory(prefix="from-naive-") as name:
        folder = Path(name)
        kafka.prepare(folder / "kafka", jars.print_progress)
        servers = postgres.start(folder / "postgres"), kafka.start(folder / "kafka", is_open=True)
        try:
            with world(servers[0].url, servers[1].bootstrap, folder) as made:
                yield made
        finally:
            for each in servers:
                each.server.kill()


async def _make_topics(admin: AIOKafkaAdminClient) -> None:
    """Make the topics. Raises TopicAlreadyExistsError while a deleted one is not gone yet."""
    answer: Any = await admin.create_topics([NewTopic(topic, 12, 1) for topic in TOPICS])
    for topic, code, _ in answer.topic_errors:
        if code:
            raise for_code(code)(topic)
