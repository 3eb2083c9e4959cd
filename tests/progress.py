"""A line about the run of all tests now and then: dots that stand still for a minute look as if nothing went on."""

import time

import pytest
from _pytest.terminal import TerminalReporter

EVERY = 10.0


class Progress:
    """Counts tests as they end, in whichever process, and tells the terminal."""

    def __init__(self, reporter: TerminalReporter, total: int = 0) -> None:
        self._reporter = reporter
        self._total = total
        self._done = 0
        self._began = self._told = time.monotonic()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Every process collects all of them."""
        self._total = len(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":
            return
        self._done += 1
        now = time.monotonic()
        if now - self._told >= EVERY:
            self._told = now
            self._tell(now - self._began, report.nodeid)

    def _tell(self, seconds: float, newest: str) -> None:
        self._reporter.write(f"\n{self._done} of {self._total} after {seconds:.0f} s, newest: {newest}\n")
