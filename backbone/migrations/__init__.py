"""Alembic, run per service: the backbone's own tables and the service's are two lines of one database.

A line is a folder of numbered files, each of which names the one before as its `down_revision`. Code runs on tables
that are ahead of it: replicas are replaced one by one, and a release can be taken back.
"""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from backbone.errors import SlicelineError
from backbone.migrations.lines import BrokenLine, Line, read_lines
from backbone.parts import describe

HERE = Path(__file__).parent


class MigrationFailed(SlicelineError):
    """A service's tables could not be brought up to date; nothing of it was changed."""

    def __init__(self, service: str, file: str | None, reason: str) -> None:
        super().__init__(f"{', '.join(filter(None, (service, file)))}: {reason}")


def upgrade(service: str, database_url: str) -> list[str]:
    """Bring a service's database to the newest revision, as the service's own role. Running it again is harmless.

    Returns a sentence for each line in which the database is ahead of this code: that line is left as it is. Raises
    MigrationFailed. It runs an event loop of its own: call it from a thread (or a program) that has none.
    """
    upgrading = _Upgrading(service)
    try:
        config = config_of(service, database_url)
        upgrading.read(config)
        with EnvironmentContext(config, upgrading.scripts, fn=upgrading.steps):
            upgrading.scripts.run_env()
    except MigrationFailed:
        raise
    except BrokenLine as error:
        raise MigrationFailed(service, error.file, error.reason) from error
    except Exception as error:
        raise MigrationFailed(service, upgrading.file, _reason(error)) from error
    return upgrading.said


def config_of(service: str, database_url: str) -> Config:
    """What Alembic's own commands need to know of one service's database."""
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, _folders(service))))
    config.attributes["url"] = database_url
    return config


def _folders(service: str) -> tuple[Path, Path]:
    return HERE / "versions", Path(str(resources.files(f"services.{service}") / "migrations"))


class _Upgrading:
    """One upgrade: which steps are missing, which file is in hand, and what there is to say."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.file: str | None = None
        self.said: list[str] = []

    def read(self, config: Config) -> None:
        """Read both lines. Raises BrokenLine."""
        self.lines = read_lines(_folders(self.service))
        self.scripts = ScriptDirectory.from_config(config)

    def steps(self, heads: tuple[str, ...], _: Any) -> Iterator[Any]:
        """What Alembic has to do from where the database is."""
        for step in self.scripts._upgrade_revs("heads", self._known(heads)):  # type: ignore[arg-type]  # a tuple serves
            self.file = Path(step.revision.path).name
            yield step
        self.file = None

    def _known(self, heads: tuple[str, ...]) -> tuple[str, ...]:
        """Where the database is, in revisions that this code knows; a line that is ahead counts as complete."""
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
    """What is at the bottom of an error, in one line."""
    while cause := getattr(error, "orig", None) or error.__cause__:
        error = cause
    if isinstance(error, asyncpg.LockNotAvailableError):
        return "somebody else holds what it changes; nothing was changed, so run it again when they are done"
    return describe(error)
