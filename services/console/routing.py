"""Collects pages, live parts of them, and what they do: each is a function of an Ask."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from htpy import Node

from services.console.asking import Ask
from services.console.shell import Page, Section

Show = Callable[[Ask], Awaitable["Page | str"]]
"""Makes a page, or says at which address what is wanted is shown."""
Part = Callable[[Ask], Awaitable[Node]]
Act = Callable[[Ask], Awaitable["str | Page"]]
"""Does something and returns the address to go on at, or, where it was refused, the page that says why."""
Give = Callable[[Ask], Awaitable["File"]]
S = TypeVar("S", bound=Show)
P = TypeVar("P", bound=Part)
A = TypeVar("A", bound=Act)
F = TypeVar("F", bound=Give)


@dataclass(frozen=True)
class File:
    """Is what a browser is to keep as a file."""

    name: str
    text: str


@dataclass(frozen=True)
class View:
    """Is a page: who may see it, and whether what it shows is kept fresh."""

    show: Show
    scopes: tuple[str, ...]
    is_live: bool
    is_open: bool


@dataclass
class Pages:
    """Holds pages by their paths; those of several rooms are put together by the application."""

    sections: list[Section] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)
    parts: dict[str, tuple[Part, tuple[str, ...], bool]] = field(default_factory=dict)
    acts: dict[str, tuple[Act, tuple[str, ...]]] = field(default_factory=dict)
    files: dict[str, tuple[Give, tuple[str, ...]]] = field(default_factory=dict)

    def section(self, path: str, name: str, group: str, *scopes: str) -> None:
        """Have the list of pages name one, to those with one of the scopes."""
        self.sections.append(Section(path, name, group, scopes))

    def page(self, path: str, *scopes: str, live: bool = False, open_to_all: bool = False) -> Callable[[S], S]:
        """Enter a page. A live one is sent again whenever it is another, at /live and its path."""

        def enter(show: S) -> S:
            self.views[path] = View(show, scopes, live, open_to_all)
            if live:
                self.parts[path] = _body(show), scopes, False
            return show

        return enter

    def part(self, path: str, *scopes: str, personal: bool = False) -> Callable[[P], P]:
        """Enter a part of a page that is kept fresh by itself: elements.live("/live" + path, …) shows it.

        A personal one is another for each who looks, whatever one may; others are the same for all who may the same.
        """

        def enter(part: P) -> P:
            self.parts[path] = part, scopes, personal
            return part

        return enter

    def act(self, path: str, *scopes: str) -> Callable[[A], A]:
        """Enter what a form does (POST)."""

        def enter(act: A) -> A:
            self.acts[path] = act, scopes
            return act

        return enter

    def file(self, path: str, *scopes: str) -> Callable[[F], F]:
        """Enter what is to be kept as a file."""

        def enter(give: F) -> F:
            self.files[path] = give, scopes
            return give

        return enter

    def include(self, other: "Pages") -> None:
        """Take in the pages of another room."""
        self.sections += other.sections
        self.views |= other.views
        self.parts |= other.parts
        self.acts |= other.acts
        self.files |= other.files


def _body(show: Show) -> Part:
    async def part(ask: Ask) -> Node:
        page = await show(ask)
        return page.body if isinstance(page, Page) else None

    return part
