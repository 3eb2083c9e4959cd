"""Writes HTML: every text is escaped, unless it is markup already."""

from html import escape


class Markup(str):
    """Is text that is HTML."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: str | int | float | None) -> Markup:
    """Make an element; `class_` is its class, `data_x` its `data-x`, and what is None is left out."""
    given = {key.strip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    inside = join(*children)
    opening = "".join(f' {key}="{escape(str(value))}"' for key, value in given.items())
    return Markup(f"<{name}{opening}>{inside}</{name}>" if inside or name not in VOID else f"<{name}{opening}>")


VOID = {"meta", "link", "br"}


def join(*children: str | None, by: str = "") -> Markup:
    """Put parts one after the other."""
    return Markup(by.join(each if isinstance(each, Markup) else escape(each) for each in children if each is not None))


def link(to: str, text: str, **attributes: str | None) -> Markup:
    """Make a link."""
    return tag("a", text, href=to, **attributes)


def listed(*items: str) -> Markup:
    """Make a list."""
    return tag("ul", *(tag("li", each) for each in items))


def table(caption: str, heads: tuple[str, ...], *rows: tuple[str, ...], **attributes: str | None) -> Markup:
    """Make a table, in which the first cell of a row is its head."""
    header = tag("thead", tag("tr", *(tag("th", each, scope="col") for each in heads)))
    body = (tag("tr", tag("th", first, scope="row"), *(tag("td", each) for each in rest)) for first, *rest in rows)
    whole = tag("table", tag("caption", caption), header, tag("tbody", *body), **attributes)
    return tag("div", whole, class_="wide", tabindex="0", role="region", aria_label=caption)
