"""Fetches Kafka's jars once from Maven Central, and checks them against the recorded hashes.

`python -m local.jars` fetches what is missing and prints its progress as `DONE TOTAL` lines.
"""

import fcntl
import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from local import HOME

VERSION = "4.3.1"
# "!": the logging library's parent POM would otherwise impose its own, older Kafka client.
ENDPOINT = f"org.apache.kafka:kafka_2.13:{VERSION}+org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!"
# Ciphers in machine code, for those systems that it is made for. Java's own are as fast only where the better of its
# two compilers has come to them, which a broker of a laptop does without.
CIPHERS = "software.amazon.cryptools:AmazonCorrettoCryptoProvider:2.5.0"
SYSTEMS = {
    ("Linux", "x86_64"): "linux-x86_64",
    ("Linux", "aarch64"): "linux-aarch_64",
    ("Darwin", "x86_64"): "osx-x86_64",
    ("Darwin", "arm64"): "osx-aarch_64",
}
# "sha256  file name" of every jar: what was reviewed is what runs, and a torn download is noticed.
HASHES = Path(__file__).with_name("kafka-jars.sha256")

Report = Callable[[int, int], None]


def classpath(report: Report) -> list[Path]:
    """Return Kafka's jars, and download those that are missing. `report` is called with how many of how many are there.

    Later calls read the remembered list and load nothing. Raises RuntimeError when a jar cannot be had.
    """
    HOME.mkdir(exist_ok=True)
    with (HOME / "jars.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remembered = _remembered()
        if remembered:
            return remembered
        paths = _fetch(report)
        _remember(paths)
        return paths


def silently(_done: int, _total: int) -> None:
    """Ignore the progress: a `report` for callers that show none."""


def _list_file() -> Path:
    return HOME / f"kafka-{VERSION}.json"


def _wanted() -> str:
    return hashlib.sha256(HASHES.read_bytes()).hexdigest()


def _remembered() -> list[Path]:
    try:
        content = json.loads(_list_file().read_text())
        paths = [Path(path) for path in content["jars"]]
    except (FileNotFoundError, ValueError, KeyError):
        return []
    return paths if content["hashes"] == _wanted() and all(path.is_file() for path in paths) else []


def _remember(paths: Iterable[Path]) -> None:
    unfinished = _list_file().with_suffix(".new")
    unfinished.write_text(json.dumps({"hashes": _wanted(), "jars": [str(path) for path in paths]}))
    unfinished.replace(_list_file())


def _endpoints() -> list[str]:
    system = SYSTEMS.get((platform.system(), platform.machine()))
    return [ENDPOINT, f"{CIPHERS}:{system}"] if system else [ENDPOINT]


def _fetch(report: Report) -> list[Path]:
    # jgo keeps what it downloads in a Maven repository; ours is our own, so that it goes with the project.
    os.environ["M2_REPO"] = str(HOME / "jars")
    import jgo

    try:
        artifacts = [artifact for endpoint in _endpoints() for artifact in jgo.resolve(endpoint)]
        return _download([artifact.resolve for artifact in artifacts], report)
    except Exception as error:
        raise RuntimeError(
            f"Kafka's jars could not be fetched from Maven Central: {error}\n"
            f"Check the network and try again; if it stays, delete {HOME / 'jars'}."
        ) from error


def _download(resolvers: list[Callable[[], Path]], report: Report) -> list[Path]:
    hashes = {name: value for value, name in map(str.split, HASHES.read_text().splitlines())}
    report(0, len(resolvers))
    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(_verified, resolver, hashes) for resolver in resolvers]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                report(done, len(futures))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() for future in futures]


def _verified(resolver: Callable[[], Path], hashes: dict[str, str]) -> Path:
    path = resolver()
    if _matches(path, hashes):
        return path
    # An interrupted download leaves a torn file, which jgo takes for a whole one.
    path.unlink()
    path = resolver()
    if _matches(path, hashes):
        return path
    path.unlink()
    raise RuntimeError(f"{path.name} is not the file recorded in {HASHES.name}")


def _matches(path: Path, hashes: dict[str, str]) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == hashes.get(path.name)


def print_progress(done: int, total: int) -> None:
    sys.stdout.write(f"{done} {total}\n")
    sys.stdout.flush()
