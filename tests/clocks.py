"""A process whose clock is wrong."""

import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any

import pytest

from tests.patches import Patch

READS_TIMES = "backbone.events.moments"
"""It asks for none."""


class _Kind(type(datetime)):  # type: ignore[misc]
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


def off_by(error: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever code of ours asks this process for the time of day is told one that is off by so much.

    The times that others are told stay right: Postgres and Kafka have their own, and so has the test.
    """
    jumping(lambda: error, monkeypatch.setattr)


def jumping(error: Callable[[], timedelta], patch: Patch) -> None:
    """The same, where how much it is off by changes."""

    class Wrong(datetime, metaclass=_Kind):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + error()

    wrong_time = SimpleNamespace(**{**vars(time), "time": lambda: time.time() + error().total_seconds()})
    for name, module in list(sys.modules.items()):
        if name.startswith(("backbone.", "services.")) and name != READS_TIMES:
            if vars(module).get("datetime") is datetime:
                patch(module, "datetime", Wrong)
            if vars(module).get("time") is time:
                patch(module, "time", wrong_time)
