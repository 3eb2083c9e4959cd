"""Makes what all pages share: head, way back, and links to each other that hold in a folder as on a server."""

from deployment.pages.contents import Event
from deployment.pages.markup import Markup, join, link, tag

NOW = tag("p", id="now", class_="soft", hidden="", data_live="")
"""Where a page says what happens now, as far as somebody can be asked."""


def page(title: str, *body: str, up: str = "", live: str | None = None) -> Markup:
    """Put a page together. `up` leads from it to the folder of the first page.

    `live` is the event type whose readers are shown where the page is served; without a type, empty, it is all of them.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} · Sliceline's events"),
        tag("link", rel="stylesheet", href=f"{up}style.css"),
        tag("script", src=f"{up}live.js", defer="") if live is not None else None,
    )
    back = tag("nav", link(f"{up}index.html", "All events"), aria_label="Catalogue")
    shown = tag("body", back, tag("main", tag("h1", title), *body), data_up=up or None, data_type=live or None)
    return join(Markup("<!doctype html>\n"), tag("html", head, shown, lang="en"), "\n")


def to_event(event: Event, up: str, text: str | None = None) -> Markup:
    """Link to the page of an event."""
    return link(f"{up}{file_of(event)}", text or event.key)


def to_service(name: str, up: str) -> Markup:
    """Link to the page of a service."""
    return link(f"{up}services/{name}.html", name)


def file_of(event: Event) -> str:
    """Name the file of an event's page."""
    return f"events/{event.key}.html"
