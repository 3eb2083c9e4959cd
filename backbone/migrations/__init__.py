"""Alembic, run per service: the backbone's own tables and the service's are two branches of one database."""

from importlib import resources
from pathlib import Path

from alembic import command
from alembic.config import Config

HERE = Path(__file__).parent


def upgrade(service: str, database_url: str) -> None:
    """Bring a service's database to the newest revision, as the service's own role. Running it again is harmless.

    It runs an event loop of its own: call it from a thread (or a program) that has none.
    """
    command.upgrade(config_of(service, database_url), "heads")


def config_of(service: str, database_url: str) -> Config:
    """What Alembic's own commands need to know of one service's database."""
    own = resources.files(f"services.{service}") / "migrations"
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", f"{HERE / 'versions'}\n{own}")
    config.attributes["url"] = database_url
    return config
