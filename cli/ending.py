"""Ends a command that waits as Ctrl-C does, whatever asks it to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_gently() -> Iterator[None]:
    """Take SIGTERM, and a terminal that is closed, for Ctrl-C as long as the block runs."""
    before = {number: signal.getsignal(number) for number in ENDINGS}
    heeded = [number for number in ENDINGS if before[number] is not signal.SIG_IGN]  # nohup is meant
    for number in heeded:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """Interrupt once: a terminal that is closed says so twice, and what ends must not be cut short by it."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
