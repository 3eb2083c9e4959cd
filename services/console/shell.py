"""Makes what is around every page: its head, the way to the others, and who is logged in."""

from collections.abc import Iterable
from dataclasses import dataclass

import htpy as h
from htpy import Node

from services.console import assets, elements
from services.console.asking import Ask

# What somebody has opened stays open while a page is kept fresh.
HTMX = '{"includeIndicatorCSS":false,"history":false,"morphIgnore":["data-htmx-powered","open"]}'

SEARCHES = ("ledger.read", "orders.read")
"""The scopes of which one is needed to search."""


@dataclass(frozen=True)
class Page:
    """Is what a page shows: its title, its content, and the commands that do the same."""

    title: str
    body: Node
    says: tuple[str, ...] = ()
    status: int = 200
    above: Node = None
    """What stays where it is while the content is kept fresh."""
    alone: bool = False
    """Without the way to other pages, as on a wall."""


@dataclass(frozen=True)
class Section:
    """Is a page in the list of pages, for those with one of the scopes; without one it is for all who are logged in."""

    path: str
    name: str
    group: str
    scopes: tuple[str, ...] = ()


def document(page: Page, ask: Ask, sections: Iterable[Section]) -> Node:
    """Make the whole document of a page."""
    return h.html(lang="en")[
        h.head[
            h.meta(charset="utf-8"),
            h.meta(name="viewport", content="width=device-width, initial-scale=1"),
            h.meta(name="htmx-config", content=HTMX),
            h.meta(name="color-scheme", content="light dark"),
            h.title[f"{page.title} · Sliceline"],
            h.link(rel="icon", href=assets.url("slice.svg"), type="image/svg+xml"),
            h.link(rel="stylesheet", href=assets.url("console.css")),
            # Not deferred: htmx starts when the document is read, and an extension has to be there by then.
            h.script(src=assets.url("htmx.min.js")),
            h.script(src=assets.url("hx-sse.min.js")),
            h.script(src=assets.url("console.js"), type="module"),
        ],
        h.body(class_="alone" if page.alone else None)[
            h.a(".skip", href="#main")["To the content"],
            # Also on a wall one wants to see whether what hangs there is fresh.
            _connection() if page.alone else _top(ask, list(sections)),
            h.main("#main", tabindex="-1")[
                h.h1[page.title],
                page.above,
                page.body,
                elements.command(*page.says) if page.says else None,
            ],
            _help(ask),
        ],
    ]


def _top(ask: Ask, sections: list[Section]) -> Node:
    theirs = [each for each in sections if ask.session and (not each.scopes or ask.session.may(*each.scopes))]
    here = max((each.path for each in theirs if _is_below(ask.address, each.path)), key=len, default="")
    return h.header[
        h.a(".brand", href="/")[h.img(src=assets.url("slice.svg"), alt="", width="24", height="24"), "Sliceline"],
        h.button("#menu", type="button", aria_expanded="false", aria_controls="sections")["Pages"],
        h.nav("#sections", aria_label="Pages")[
            (
                h.div(".group")[
                    h.span[group],
                    (
                        h.a(href=each.path, aria_current="page" if each.path == here else None)[each.name]
                        for each in theirs
                        if each.group == group
                    ),
                ]
                for group in dict.fromkeys(each.group for each in theirs)
            )
        ],
        h.div(".who")[
            ask.may(*SEARCHES) and _search(ask),
            _connection(),
            h.button("#zone", type="button", title="Show times in UTC or as here")["UTC"],
            h.button("#theme", type="button", title="Light or dark")["◐"],
            h.button("#help-button", type="button", title="Keys (?)", aria_label="Keys")["?"],
            _person(ask),
        ],
    ]


def _connection() -> Node:
    return h.span("#connection", role="status", data_state="")[""]


def _person(ask: Ask) -> Node:
    if ask.session is None:
        return h.a(href=elements.address("/login", {"to": ask.address}))["Log in"]
    if ask.session.is_open:
        return h.span(title="SLICELINE_AUTH=off: whoever reaches this may do everything")["doors open"]
    return h.form(".inline", method="post", action="/logout")[
        h.span(".name")[ask.session.name], h.button(type="submit")["Log out"]
    ]


def _search(ask: Ask) -> Node:
    return h.form("#search", action="/search", role="search")[
        h.input(
            type="search",
            name="q",
            aria_label="Search an order, event, trace or correlation id",
            placeholder="Search an id  /",
            value=ask.query.get("q", "") if ask.address.startswith("/search") else "",
        )
    ]


def _help(ask: Ask) -> Node:
    keys = {
        **({"/": "search"} if ask.may(*SEARCHES) else {}),
        "?": "this help",
        "j k": "to the next or previous row",
        "Enter": "open the row",
        "g h": "home",
        "Esc": "close, or leave a field",
    }
    return h.dialog("#help", aria_labelledby="help-title")[
        h.h2("#help-title")["Keys"],
        h.dl[((h.dt[h.kbd[key]], h.dd[what]) for key, what in keys.items())],
        h.form(method="dialog")[h.button["Close"]],
    ]


def _is_below(address: str, path: str) -> bool:
    place = address.partition("?")[0]
    return place == path or (path != "/" and place.startswith(f"{path}/"))
