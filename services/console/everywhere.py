"""Asks all services the same, at the same time: one that does not answer keeps no page from showing the others."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from htpy import Node
from starlette.exceptions import HTTPException

from services.console.asking import Ask, Refused
from services.console.elements import WRONG, notice

MOST_DIGITS = 18
"""Digits of a number that databases hold in eight bytes, whatever it is."""


@dataclass(frozen=True)
class Told:
    """Holds what services have answered, by their names, and why others have not."""

    answers: Mapping[str, Any]
    away: Mapping[str, str]

    def notices(self) -> list[Node]:
        """Say who is missing: what is not known is no zero."""
        return [notice(self.missing, WRONG)] if self.away else []

    @property
    def missing(self) -> str:
        """Name who is missing, and why the first of them is; empty where nobody is."""
        return f"Not among this: {', '.join(self.away)}. {next(iter(self.away.values()))}" if self.away else ""


async def ask_all(ask: Ask, path: str, names: Iterable[str] | None = None, **query: Any) -> Told:
    """Ask services, all by default. Raises NotLoggedIn."""
    wanted = list(ask.services.names if names is None else names)
    found = await asyncio.gather(*(_asked(ask, name, path, query) for name in wanted))
    pairs = list(zip(wanted, found, strict=True))
    return Told(
        {name: answer for name, answer in pairs if not isinstance(answer, Refused)},
        {name: answer.detail or answer.title for name, answer in pairs if isinstance(answer, Refused)},
    )


async def _asked(ask: Ask, name: str, path: str, query: Mapping[str, Any]) -> Any:
    try:
        return await ask.get(name, path, **query)
    except Refused as refused:
        return refused


def service_of(ask: Ask) -> str:
    """Return the service that a page's address names. Raises HTTPException where there is none."""
    name = ask.path["service"]
    if name not in ask.services.names:
        raise HTTPException(404)
    return name


def number_in(ask: Ask, part: str) -> int:
    """Return a number that a page's address has. Raises HTTPException where it is none."""
    found = whole_number(ask.path[part])
    if found is None:
        raise HTTPException(404)
    return found


def whole_number(text: str) -> int | None:
    """Read a number that an address or a form has; None where it is none, or has more digits than any of ours."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else None


async def everything(ask: Ask, service: str, path: str, most: int, **query: Any) -> tuple[list[Any], bool]:
    """Return the items of all pages of a list, up to so many, and whether that is all of them."""
    items: list[Any] = []
    after = None
    while len(items) < most:
        page = await ask.get(service, path, after=after, limit=200, **query)
        items += page["items"]
        after = page["next"]
        if not after:
            return items, True
    return items[:most], False
