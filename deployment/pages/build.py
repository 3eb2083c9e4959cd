"""Builds the catalogue into a folder: `python -m deployment.pages.build [FOLDER]`, as the image and `up` do."""

import sys
from collections.abc import Mapping
from pathlib import Path

import orjson

from backbone.errors import SlicelineError
from backbone.events.contracts import ORIGIN, id_of, schema_of
from deployment.catalogue import Services
from deployment.objections import load_services
from deployment.pages import eventcatalog
from deployment.pages.asyncapi import document
from deployment.pages.fresh import FOLDER, LAST
from deployment.pages.pages import pages


class NotACatalogue(SlicelineError):
    """The folder that a catalogue should be built into has other things in it; the message names it."""


ROOMS = ("events", "services", "schemas")
"""The folders in it, which are its own."""


def files(services: Services) -> dict[str, str]:
    """Return what is in the folder, by the files' names: pages, the document and the schemas."""
    described = document(services)
    return {**pages(described), **_schemas(services), LAST: _pretty(described)}


def for_eventcatalog(services: Services) -> dict[str, str]:
    """Return what goes into a folder of EventCatalog, by the files' names."""
    return eventcatalog.files(document(services), _schemas(services))


def _schemas(services: Services) -> dict[str, str]:
    return {
        id_of(each.TYPE).removeprefix(f"{ORIGIN}/"): _pretty(schema_of(each.TYPE))
        for service in services.values()
        for each in service.publishes
    }


def build(services: Services, folder: Path = FOLDER) -> int:
    """Write the catalogue, and take away what is in its folders from before; return how many files there are.

    Raises NotACatalogue where the folder holds something else, of which nothing is touched.
    """
    if folder != FOLDER and not _is_free(folder):
        raise NotACatalogue(f"{folder} holds other things. Name a folder that is empty, or has a catalogue in it.")
    found = files(services)
    write(found, folder)
    there = {each for room in ROOMS for each in (folder / room).rglob("*") if each.is_file()}
    for stale in there - {folder / name for name in found}:
        stale.unlink()
    return len(found)


def _is_free(folder: Path) -> bool:
    """Tell whether a folder is empty, not there, or built by us."""
    try:
        told = orjson.loads((folder / LAST).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return not folder.exists() or not any(folder.iterdir())
    info = told.get("info") if isinstance(told, dict) else None
    return isinstance(info, dict) and "x-services" in info


def write(found: Mapping[str, str], folder: Path) -> None:
    """Write files into a folder, whatever else is there."""
    for name, text in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _pretty(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


if __name__ == "__main__":
    services, unloaded = load_services()
    if unloaded:
        sys.exit("\n".join(unloaded))
    build(services, *map(Path, sys.argv[1:]))
