"""./sliceline contracts catalogue and eventcatalog: build what people and tools read about every event."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backbone.errors import SlicelineError
from cli.console import console, fail

if TYPE_CHECKING:
    from deployment.catalogue import Services


def catalogue(folder: str | None = None) -> None:
    """Build pages, AsyncAPI and schemas into a folder."""
    from deployment.pages.build import build
    from deployment.pages.fresh import FOLDER

    place = Path(folder) if folder else FOLDER
    with _failing_in_words():
        count = build(_services(), place)
    _say(f"{count} files. Begin with {place / 'index.html'}")


def eventcatalog(folder: str) -> None:
    """Write services, events, channels and teams into the folder of an EventCatalog."""
    from deployment.pages.build import for_eventcatalog, write

    found = for_eventcatalog(_services())
    with _failing_in_words():
        write(found, Path(folder))
    _say(
        f"{len(found)} files in {folder}. What has gone since the last time is still there: begin with an empty folder."
    )


@contextmanager
def _failing_in_words() -> Iterator[None]:
    """End the command with a sentence where a folder cannot be written into, or should not."""
    try:
        yield
    except OSError as error:
        fail(f"{error.filename} cannot be written: {error.strerror}.")
    except SlicelineError as error:
        fail(str(error))


def _services() -> "Services":
    from deployment.objections import load_services

    services, unloaded = load_services()
    if unloaded:
        fail("\n".join(unloaded))
    return services


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
