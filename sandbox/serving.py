"""Starts sandbox servers quietly, and stops them when asked."""

import argparse
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from types import FrameType
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

MOST = 1_000_000
"""Seconds, or calls a second: more is a slip of the pen, and no timer can hold the largest floats."""
LARGEST_PORT = 65535


class Server(uvicorn.Server):
    """Is uvicorn without an access log. `release` is called when it begins to stop, to end what is held.

    Stopping on SIGINT or SIGTERM is success: the process goes on after `run()` and exits with 0.
    """

    def __init__(self, app: FastAPI, host: str, port: int, release: Callable[[], None] | None = None) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=5,
            timeout_keep_alive=75,  # longer than clients keep theirs: none sends on one that is just being closed
        )
        super().__init__(config)
        self._release = release

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # uvicorn's own would remember the signal and die of it after a clean stop.
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._release is not None:
            self._release()
        await super().shutdown(sockets)


class Arguments(argparse.ArgumentParser):
    """Reads flags whose defaults are environment variables, so that both are checked and explained alike."""

    def __init__(self, module: str, description: str | None) -> None:
        super().__init__(prog=f"python -m {module}", description=description)

    def setting(self, flag: str, variable: str, default: str, convert: Callable[[str], object] = str) -> None:
        """Add a setting that `flag` gives, else the environment `variable`, else `default`."""
        value = os.environ.get(variable, default)
        self.add_argument(flag, type=convert, default=value, help=f"or {variable}; default {default!r}")


def not_negative(text: str) -> float:
    """Read a number from 0 to `MOST`; anything else raises what argparse shows to the user."""
    with contextlib.suppress(ValueError):
        if 0 <= (number := float(text)) <= MOST:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {MOST:,}")


def port(text: str) -> int:
    """Read a port to serve on, 0 for any that is free; anything else raises what argparse shows to the user."""
    if text.isascii() and text.isdecimal() and int(text) <= LARGEST_PORT:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to {LARGEST_PORT}")


def http_url(text: str) -> str:
    """Read the URL of a server that answers HTTP; anything else raises what argparse shows to the user."""
    with contextlib.suppress(ValueError):  # of a port that is none
        parts = urlsplit(text)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return text
    raise argparse.ArgumentTypeError(f"{text!r} is not of the shape http://host:port")


def log_to_stderr() -> None:
    """Log plain lines to standard error, and no line per request made or served."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    for noisy in ("httpx", "httpcore", "mail.log"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
