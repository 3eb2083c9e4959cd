"""Adds a service to the files that name every service."""

import re
from collections.abc import Callable
from pathlib import Path

from cli.making.texts import filled
from cli.making.wanted import Unwanted, Wanted
from services import CATALOGUE

Edit = Callable[[str, Wanted], str]


def edited(root: Path, wanted: Wanted) -> dict[str, str]:
    """Add the service to each list.

    Raises Unwanted for a file in which its place cannot be found.
    """
    return {path: _edit(root, path, edit, wanted) for path, edit in EDITS.items()}


def _edit(root: Path, path: str, edit: Edit, wanted: Wanted) -> str:
    try:
        return edit((root / path).read_text(), wanted)
    except LookupError as error:
        raise Unwanted(f"{path} has no {error.args[0]}, after which {wanted.name} would be written.") from None


def _in_compose(text: str, wanted: Wanted) -> str:
    """Add the service after the blocks of the catalogue's last one."""
    gaps, last = {"name": wanted.name, "port": str(wanted.port)}, list(CATALOGUE)[-1]
    for name, template in ((last, "compose_service"), (f"{last}-worker", "compose_worker")):
        text = _after(rf"^  {name}:\n(    .*\n)+", f"block of {name}", text, filled(template, gaps))
    return text


def _in_readme(text: str, wanted: Wanted) -> str:
    """Add the service to the list of addresses."""
    last, port = list(CATALOGUE.items())[-1]
    return _after(rf"\b{last} {port}\b", f"'{last} {port}'", text, f",\n{wanted.name} {wanted.port}")


def _in_catalogue(text: str, wanted: Wanted) -> str:
    last, port = list(CATALOGUE.items())[-1]
    return _after(rf'^    "{last}": {port},\n', f"line of {last}", text, f'    "{wanted.name}": {wanted.port},\n')


def _after(pattern: str, called: str, text: str, added: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise LookupError(called)
    return text[: found.end()] + added + text[found.end() :]


EDITS: dict[str, Edit] = {
    "README.md": _in_readme,
    "docker-compose.yml": _in_compose,
    "services/__init__.py": _in_catalogue,
}
