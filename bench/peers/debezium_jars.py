"""Fetches Kafka Connect's and Debezium's jars once from Maven Central."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local import HOME

CONNECT, DEBEZIUM, JETTY = "4.3.1", "3.7.0.Final", "12.0.34"
ENDPOINT = (
    f"org.apache.kafka:connect-runtime:{CONNECT}"
    f"+io.debezium:debezium-connector-postgres:{DEBEZIUM}"
    "+org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!"
    # Named only because they would otherwise be resolved to a version that Connect's Jetty does not fit.
    f"+org.eclipse.jetty.ee10:jetty-ee10-servlet:{JETTY}"
    f"+org.eclipse.jetty:jetty-security:{JETTY}+org.eclipse.jetty:jetty-session:{JETTY}"
)
LIST = HOME / "bench" / f"debezium-{DEBEZIUM}-connect-{CONNECT}.json"


def classpath() -> list[str]:
    """Return the jars, and download those that are missing. Raises RuntimeError when one cannot be had."""
    try:
        known = json.loads(LIST.read_text())
    except (FileNotFoundError, ValueError):
        known = []
    return known if known and all(Path(path).is_file() for path in known) else _fetch()


def _fetch() -> list[str]:
    os.environ["M2_REPO"] = str(HOME / "jars")
    import jgo

    try:
        artifacts = jgo.resolve(ENDPOINT)
        with ThreadPoolExecutor(6) as pool:
            paths = [str(path) for path in pool.map(lambda artifact: artifact.resolve(), artifacts)]
    except Exception as error:
        raise RuntimeError(f"Debezium's jars could not be fetched from Maven Central: {error}") from error
    LIST.write_text(json.dumps(paths))
    return paths
