"""Kafka's jars are those of the lock file, whole, and of the version that containers run."""

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from jgo.maven import MavenContext

from local import jars
from tests.servers import KAFKA_IMAGE

CONTENT = b"what was reviewed"
IN_A_REPOSITORY = Path("org/example/thing/1.0/thing-1.0.jar")


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def maven(tmp_path: Path) -> Iterator[MavenContext]:
    """A repository that serves one jar, to somebody who has a torn one."""
    served, own = tmp_path / "served", tmp_path / "own"
    for folder, content in ((served, CONTENT), (own, CONTENT[:5])):
        (folder / IN_A_REPOSITORY).parent.mkdir(parents=True)
        (folder / IN_A_REPOSITORY).write_bytes(content)
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(served))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield MavenContext(repo_cache=own, remote_repos={"ours": f"http://127.0.0.1:{server.server_port}"})
        server.shutdown()
        thread.join()


def test_a_torn_jar_is_fetched_again(maven: MavenContext) -> None:
    jar = jars.Jar(hashlib.sha256(CONTENT).hexdigest(), "org.example", "thing", "1.0")
    assert jars.verified(jar, jar.of(maven)).read_bytes() == CONTENT


def test_a_jar_that_is_not_the_reviewed_one_is_refused_and_not_kept(maven: MavenContext) -> None:
    jar = jars.Jar(hashlib.sha256(b"another").hexdigest(), "org.example", "thing", "1.0")
    with pytest.raises(RuntimeError, match=r"thing-1\.0\.jar is not the file recorded in kafka-jars\.lock"):
        jars.verified(jar, jar.of(maven))
    assert not (maven.repo_cache / IN_A_REPOSITORY).exists()


def test_kafka_is_of_the_version_that_containers_run() -> None:
    assert KAFKA_IMAGE.split(":")[1] in {jar.version for jar in jars.locked() if jar.artifact == "kafka_2.13"}


def test_every_system_has_the_same_jars_and_ciphers_of_its_own() -> None:
    made_for = [jar.system for jar in jars.locked() if jar.system]
    assert sorted(made_for) == sorted(jars.SYSTEMS.values())
