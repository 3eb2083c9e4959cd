"""The walls that import-linter cannot see, because they run inside modules. The others stand in pyproject.toml."""

import ast
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from local.program import python

ROOT = Path(__file__).resolve().parents[2]
OURS = ("backbone", "services", "sandbox", "deployment", "local", "cli")
ALSO_PURE = [ROOT / "services" / "orders" / name for name in ("expecting.py", "menu.py", "pictures.py", "refunds.py")]
DECISIONS = sorted([*ROOT.glob("services/*/decisions.py"), *ALSO_PURE])

CLOCKS = {"now", "utcnow", "today"}
EVALUATING = {"eval", "exec", "compile", "__import__", "pickle", "marshal", "shelve"}
STARTING = {"subprocess", "os.system", "os.popen", "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"}
BROKEN = {"hashlib.md5", "hashlib.sha1", "hashlib.new"}
GUESSED = ["backbone/http/streams.py", "backbone/values/tracecontext.py", "services/webhooks/jobs.py"]
"""Those who draw what anybody may guess: pauses and the ids of traces."""
OUTSIDE = {"open", "print", "input", "exec", "eval", "__import__"}


def words(path: Path) -> Iterator[str]:
    """Every name that the code uses, imports or reaches for."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def uses_producer(path: Path) -> bool:
    return any("KafkaProducer" in word or word.startswith("aiokafka.producer") for word in words(path))


def calls(path: Path) -> Iterator[str]:
    """The last word of everything that is called: `now` for `datetime.now()`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node.func.id if isinstance(node.func, ast.Name) else node.func.attr


def uses_publisher(path: Path) -> bool:
    return any(word.startswith("backbone.publishing.publisher") for word in words(path))


@pytest.mark.parametrize(
    ("uses", "holder"),
    [(uses_producer, "backbone/publishing/publisher.py"), (uses_publisher, "backbone/publishing/relay.py")],
)
def test_only_the_relay_has_a_kafka_producer(uses: Callable[[Path], bool], holder: str) -> None:
    files = (path for folder in OURS for path in (ROOT / folder).rglob("*.py"))
    assert [path.relative_to(ROOT).as_posix() for path in files if uses(path)] == [holder]


def asks_the_database(path: Path) -> bool:
    return any(word.startswith("sqlalchemy") or word.endswith(".Statement") for word in words(path)) or bool(
        {"fetch", "fetchrow", "fetchval", "executemany"} & set(calls(path))
    )


def test_a_service_has_its_sql_in_its_store_and_nowhere_else() -> None:
    asking = {path.name for path in ROOT.glob("services/*/*.py") if asks_the_database(path)}
    assert asking == {"store.py", "tables.py"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("services.orders.service", ("httpx", "rich", "psutil")),
        ("deployment.migrate", ("pydantic", "pygments", "rich")),
        ("cli.__main__", ("pyarrow", "numpy")),
    ],
)
def test_a_process_loads_only_what_it_uses(module: str, unwanted: Sequence[str]) -> None:
    """Some libraries look for others that happen to be there. Each takes a twentieth of a start; `up` starts many."""
    loaded = f"{set(unwanted)} & sys.modules.keys()"
    asking = f"import sys, backbone.storage.migrations, {module}; sys.exit(' '.join({loaded}) or None)"
    run = subprocess.run(python("-c", asking), env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
    assert (run.returncode, run.stderr) == (0, b"")


def reached(path: Path) -> Iterator[str]:
    """What the code imports, and all that it calls in full: `hashlib.md5`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)
        elif isinstance(node, ast.ImportFrom):
            yield from (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


HTTP = {f"httpx.{name}" for name in ("Client", "AsyncClient", "request", "stream", "get", "post", "put", "delete")}
WITHOUT_IT = ["asking.py", "login.py", "readers.py"]
"""Who sends tokens along, whom they are got from, and who reads what is open to everybody."""


def test_commands_ask_services_by_the_one_client_that_sends_a_token() -> None:
    assert [path.name for path in sorted((ROOT / "cli").rglob("*.py")) if HTTP & set(reached(path))] == WITHOUT_IT


@cache
def running() -> dict[str, set[str]]:
    """What each module of a shop reaches."""
    return {
        path.relative_to(ROOT).as_posix(): set(reached(path))
        for folder in ("backbone", "services", "deployment")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


@pytest.mark.parametrize("what", [EVALUATING, STARTING, BROKEN], ids=["evaluates", "starts a program", "breaks"])
def test_a_shop_evaluates_no_text_starts_no_program_and_uses_no_broken_hash(what: set[str]) -> None:
    assert {name: found for name, words in running().items() if (found := words & what)} == {}


def test_only_what_anybody_may_guess_is_drawn_by_random() -> None:
    assert [name for name, words in running().items() if "random" in words] == GUESSED


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_decisions_ask_neither_clock_nor_world(path: Path) -> None:
    assert not (CLOCKS | OUTSIDE) & set(calls(path))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_decisions_wait_for_nothing(path: Path) -> None:
    waiting = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
    assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, waiting)]


def test_every_service_but_the_mere_listeners_decides() -> None:
    """The tests above looked at something."""
    assert len(DECISIONS) >= 6
