"""Measures what pages cost the services that are open and kept fresh: none of them, one of each, and two hundred.

All who look at the same page share a look, so what two hundred cost the services is what one costs.
"""

import selectors
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench import programs
from bench.meter import Reading
from bench.result import Results, Row, better
from bench.stage import Stage
from local.program import Program
from services import CATALOGUE

PAGES = ("/operations", "/orders", "/shop", "/topics")
"""What is looked at, by turns: each is a look of its own."""
NONE, EACH, MANY = "none open", "one of each", "200 open"
CASES = {NONE: 0, EACH: len(PAGES), MANY: 200}
HOST = "127.0.0.1"
CHUNK = 65_536


def run(stage: Stage) -> Results:
    results = Results()
    spent: dict[str, list[float]] = {case: [] for case in CASES}
    console: dict[str, list[float]] = {case: [] for case in CASES}
    with programs.whole_shop(stage) as house:
        stage.settle()
        for number in range(stage.scale.of(5, 3)):
            for case, count in CASES.items():
                stage.tell(f"{case}, round {number + 1}")
                reading = _open(stage, house, count)
                spent[case].append(_share(reading, CATALOGUE))
                console[case].append(_share(reading, ("console",)))
    for against, goal in ((EACH, 0.9), (NONE, None)):
        results.add(_row("all services", spent, against, goal))
    results.add(_row("the console", console, EACH, None))
    results.note(f"Open are, by turns, {', '.join(PAGES)}.")
    results.samples["looking"] = {"services": spent, "console": console}
    return results


def _row(whose: str, spent: Mapping[str, list[float]], against: str, goal: float | None) -> Row:
    ours, theirs = statistics.median(spent[MANY]), statistics.median(spent[against])
    case = f"processor time of {whose}, {MANY}"
    return Row("looking", case, ours, against, theirs, "ms/s", better(ours, theirs, less=True), goal)


def _open(stage: Stage, house: Mapping[str, Program], count: int) -> Reading:
    """Have so many pages open for a while; return what that cost."""
    with _followed(house["console"].port or 0, count):
        time.sleep(stage.scale.of(3.0, 2.0))  # until each has had its first
        clock = stage.meter()
        time.sleep(stage.scale.of(20.0, 8.0))
        return clock.read()


def _share(reading: Reading, names: Mapping[str, int] | tuple[str, ...]) -> float:
    """Return milliseconds of processor time for each second."""
    return 1000 * sum(reading.cpu[name] for name in names) / reading.seconds


@contextmanager
def _followed(port: int, count: int) -> Iterator[None]:
    """Follow the live parts of pages over as many connections, and read what they tell."""
    ended = threading.Event()
    with selectors.DefaultSelector() as selector:
        for number in range(count):
            connection = socket.create_connection((HOST, port))
            path = PAGES[number % len(PAGES)]
            connection.sendall(f"GET /live{path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode())
            selector.register(connection, selectors.EVENT_READ)
        reader = threading.Thread(target=_read, args=(selector, ended))
        reader.start()
        try:
            yield
        finally:
            ended.set()
            reader.join()
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]


def _read(selector: selectors.BaseSelector, ended: threading.Event) -> None:
    while not ended.is_set():
        for key, _ in selector.select(0.2):
            if not key.fileobj.recv(CHUNK):  # type: ignore[union-attr]
                raise RuntimeError("The console has ended a stream.")
        if not selector.get_map():
            ended.wait(0.2)
