"""Fetches Kafka's jars once from Maven Central, and checks them against the recorded hashes."""

import fcntl
import hashlib
import json
import platform
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local import HOME

if TYPE_CHECKING:
    from jgo.maven import Artifact, MavenContext

# "sha256  group:artifact:version" of every jar, with a fourth part where it is made for one system. What was reviewed
# is what runs, a torn download is noticed, and nobody asks what depends on what, which took longer than the download.
# .ci/kafka-jars writes it.
LOCK = Path(__file__).with_name("kafka-jars.lock")
SYSTEMS = {
    ("Linux", "x86_64"): "linux-x86_64",
    ("Linux", "aarch64"): "linux-aarch_64",
    ("Darwin", "x86_64"): "osx-x86_64",
    ("Darwin", "arm64"): "osx-aarch_64",
}
# Each of them mostly waits for an answer.
HANDS = 12

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


@dataclass(frozen=True)
class Jar:
    """Names a jar by its Maven coordinates, and says what is in it."""

    sha256: str
    group: str
    artifact: str
    version: str
    system: str = ""

    def of(self, maven: "MavenContext") -> "Artifact":
        return maven.project(self.group, self.artifact).at_version(self.version).artifact(classifier=self.system)


def silently(_done: int, _total: int) -> None:
    """Ignore the progress: a `report` for callers that show none."""


def _list_file() -> Path:
    return HOME / "kafka-jars.json"


def _wanted() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


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


def locked() -> list[Jar]:
    """Return what the lock file names: all jars, of all systems."""
    lines = map(str.split, LOCK.read_text().splitlines())
    return [Jar(sha256, *coordinates.split(":")) for sha256, coordinates in lines]


def _ours() -> list[Jar]:
    return [jar for jar in locked() if jar.system in ("", SYSTEMS.get((platform.system(), platform.machine())))]


def _fetch(report: Report) -> list[Path]:
    from jgo.maven import MavenContext

    # A Maven repository of our own, so that it goes with the project.
    maven = MavenContext(repo_cache=HOME / "jars")
    try:
        return _download([(jar, jar.of(maven)) for jar in _ours()], report)
    except Exception as error:
        raise RuntimeError(
            f"Kafka's jars could not be fetched from Maven Central: {error}\n"
            f"Check the network and try again; if it stays, delete {HOME / 'jars'}."
        ) from error


def _download(jars: list[tuple[Jar, "Artifact"]], report: Report) -> list[Path]:
    report(0, len(jars))
    with ThreadPoolExecutor(HANDS) as pool:
        futures = [pool.submit(verified, *each) for each in jars]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                report(done, len(futures))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() for future in futures]


def verified(jar: Jar, artifact: "Artifact") -> Path:
    """Return the jar's file, downloaded where it is missing or torn. Raises RuntimeError where it is another's."""
    path = artifact.resolve()
    if _is(jar, path):
        return path
    # An interrupted download leaves a torn file, which jgo takes for a whole one.
    path.unlink()
    path = artifact.resolve()
    if _is(jar, path):
        return path
    path.unlink()
    raise RuntimeError(f"{path.name} is not the file recorded in {LOCK.name}")


def _is(jar: Jar, path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def print_progress(done: int, total: int) -> None:
    sys.stdout.write(f"{done} {total}\n")
    sys.stdout.flush()
