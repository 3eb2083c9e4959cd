"""Runs Alembic per service: the backbone's own tables and the service's are two lines of one database.

A line is a folder of numbered files, each of which names the one before as its `down_revision`. Code runs on tables
that are ahead of it: replicas are replaced one by one, and a release can be taken back.

Each step commits by itself, so an upgrade that ends early goes on where it stood. A step that meets a lock in use is
rolled back and tried again.
"""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import Connection

from backbone.absent import absent

with absent("pygments"):  # for colours in the errors of templates; it is a tenth of what an upgrade takes
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

from backbone.errors import SlicelineError
from backbone.running.pulse import describe
from backbone.running.retry import RetryPolicy
from backbone.storage.migrations.lines import BrokenLine, Line, read_lines

HERE = Path(__file__).parent
AGAIN = RetryPolicy(first=timedelta(milliseconds=100), longest=timedelta(seconds=1), within=timedelta(seconds=5))
"""How long a step that somebody is in the way of is tried again."""
_IN_THE_WAY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


class MigrationFailed(SlicelineError):
    """A step of a service's migration failed and changed nothing; the steps before it are done."""

    def __init__(self, service: str, file: str | None, reason: str) -> None:
        super().__init__(f"{', '.join(filter(None, (service, file)))}: {reason}")


def upgrade(
    service: str,
    database_url: str,
    own: Path | None = None,
    afterwards: Callable[[Connection], None] = lambda _: None,
) -> list[str]:
    """Bring a service's database to the newest revision, as the role of its address. Running it again is harmless.

    `own`: the folder of the service's own line, where that is not `services/<name>/migrations`. `afterwards` runs on
    the same connection, in a transaction of its own. Returns a sentence for each line in which the database is ahead of
    this code: that line is left as it is. Raises MigrationFailed. It runs an event loop of its own: call it from a
    thread (or a program) that has none.
    """
    upgrading = _Upgrading(service, _folders(service, own))
    try:
        config = config_of(service, database_url, own)
        config.attributes["afterwards"] = afterwards
        upgrading.read(config)
        upgrading.run(config)
    except MigrationFailed:
        raise
    except BrokenLine as error:
        raise MigrationFailed(service, error.file, error.reason) from error
    except Exception as error:
        raise MigrationFailed(service, upgrading.file, _reason(error)) from error
    return upgrading.said


def config_of(service: str, database_url: str, own: Path | None = None) -> Config:
    """Make the configuration with which Alembic's own commands work on one service's database."""
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, _folders(service, own))))
    config.attributes["url"] = database_url
    return config


def _folders(service: str, own: Path | None) -> tuple[Path, Path]:
    return HERE / "versions", own or Path(str(resources.files(f"services.{service}") / "migrations"))


class _Upgrading:
    """Does one upgrade, and knows which steps are missing, which file is in hand, and what there is to say."""

    def __init__(self, service: str, folders: tuple[Path, Path]) -> None:
        self.service = service
        self.folders = folders
        self.file: str | None = None
        self.said: list[str] = []

    def read(self, config: Config) -> None:
        """Read both lines. Raises BrokenLine."""
        self.lines = read_lines(self.folders)
        self.scripts = ScriptDirectory.from_config(config)

    def run(self, config: Config) -> None:
        """Do the missing steps; one that somebody is in the way of is tried again for a few seconds."""
        attempt, file, began = 0, None, 0.0
        while True:
            try:
                self._run_once(config)
                return
            except Exception as error:
                if file != self.file:
                    attempt, file, began = 0, self.file, time.monotonic()
                attempt += 1
                delay = AGAIN.next_delay(attempt, timedelta(seconds=time.monotonic() - began))
                if delay is None or not isinstance(_cause_of(error), _IN_THE_WAY):
                    raise
                time.sleep(delay.total_seconds())

    def _run_once(self, config: Config) -> None:
        self.said.clear()
        self.file = None
        with EnvironmentContext(config, self.scripts, fn=self.steps):
            self.scripts.run_env()

    def steps(self, heads: tuple[str, ...], _: Any) -> Iterator[Any]:
        """Yield the steps that Alembic has to do from where the database is."""
        for step in self.scripts._upgrade_revs("heads", self._known(heads)):  # type: ignore[arg-type]  # a tuple serves
            self.file = Path(step.revision.path).name
            yield step
        self.file = None

    def _known(self, heads: tuple[str, ...]) -> tuple[str, ...]:
        """Return where the database is, in revisions that this code knows; a line that is ahead counts as complete."""
        known = {revision for line in self.lines for revision in line}
        unknown = [head for head in heads if head not in known]
        if not unknown:
            return heads
        ahead = [line for line in self.lines if not line.keys() & set(heads)]
        if len(unknown) < len(ahead):
            reason = f"its database is at {', '.join(unknown)}, unknown here, and cannot tell which tables are there"
            raise MigrationFailed(self.service, None, reason)
        self.said.append(_ahead(self.service, unknown, ahead))
        return (*(head for head in heads if head in known), *(list(line)[-1] for line in ahead))


def _ahead(service: str, unknown: list[str], ahead: list[Line]) -> str:
    newest = " and ".join(list(line)[-1] for line in ahead)
    return (
        f"{service}'s database is ahead of this code: it is at {' and '.join(unknown)}, and the newest known here is "
        f"{newest}. Older code runs on newer tables, so it goes on."
    )


def _reason(error: BaseException) -> str:
    """Say in one line what is at the bottom of an error."""
    cause = _cause_of(error)
    if isinstance(cause, _IN_THE_WAY):
        return "somebody else holds what it changes; nothing of it was done, so run it again when they are done"
    return describe(cause)


def _cause_of(error: BaseException) -> BaseException:
    while cause := getattr(error, "orig", None) or error.__cause__:
        error = cause
    return error
