"""Makes what pages have in common: times, ids, marks, tables, and the forms that change something."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import htpy as h
from htpy import Node

from backbone.values.currencies import in_words

WELL, WAITS, WRONG, OVER = "well", "waits", "wrong", "over"
"""How something is: its colour, and always a sign as well."""
SIGNS = {WELL: "✓", WAITS: "…", WRONG: "!", OVER: "–"}
KINDS = {
    "completed": WELL,
    "delivered": WELL,
    "collected": WELL,
    "running": WELL,
    "active": WELL,
    "rejected": WRONG,
    "failed": WRONG,
    "parked": WRONG,
    "cancelled": OVER,
    "discarded": OVER,
}


def moment(when: str | datetime | None, otherwise: str = "never") -> Node:
    """Show a time as how long ago it is; hovering tells the moment. Browsers keep it fresh, in UTC or local time."""
    if when is None:
        return otherwise
    text = when if isinstance(when, str) else when.astimezone(UTC).isoformat()
    return h.time(datetime=text, title=text, data_relative=True)[text[:19].replace("T", " ")]


def seconds(value: float | None) -> str:
    """Say how long something takes, with as many parts as help: 350 ms, 4.2 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if value is None:
        return "–"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    for large, small, size, part in (("min", "s", 60, 1), ("h", "min", 3600, 60), ("d", "h", 86_400, 3600)):
        if value < size * (24 if large == "h" else 60) or large == "d":
            whole, rest = divmod(int(value), size)
            return f"{whole:,} {large} {rest // part} {small}" if rest // part else f"{whole:,} {large}"
    raise AssertionError("the largest takes all that is left")


def identity(text: str, to: str | None = None, short: int = 0) -> Node:
    """Show an id with a button that copies it, as a link where there is a page for it."""
    shown = text if not short or len(text) <= short else f"…{text[-short:]}"
    name = h.code(title=text)[shown]
    return h.span(".id")[
        h.a(href=to)[name] if to else name,
        h.button(".copy", type="button", data_copy=text, aria_label=f"Copy {text}", title="Copy"),
    ]


def mark(text: str, kind: str | None = None) -> Node:
    """Show how something is, by colour and by a sign: colour alone is not seen by all."""
    kind = kind or KINDS.get(text, WAITS)
    return h.span(f".mark.{kind}")[h.span(aria_hidden="true")[SIGNS[kind]], " ", text]


def money(amount: Mapping[str, Any] | None) -> str:
    """Write an amount as people do."""
    return in_words(int(amount["amount"]), str(amount["currency"])) if amount else "–"


def table(heads: Sequence[Node], rows: Iterable[Node], empty: Node, caption: str, *, held: str | None = None) -> Node:
    """Make a table that says what would be here where it is empty; on narrow screens it scrolls by itself.

    One that is `held`, under a name of its own, keeps its rows in their places while somebody looks (`as_held`).
    """
    found = list(rows)
    if not found:
        return h.div(".empty", data_none_of=held)[empty]
    return h.div(".scroll", tabindex="0", role="region", aria_label=caption)[
        h.table[
            h.caption(".hidden")[caption],
            h.thead[h.tr[(h.th(scope="col")[each] for each in heads)]],
            h.tbody(id=held, data_held=bool(held))[found],
        ]
    ]


def as_held(to: str, silent: Iterable[str] = ()) -> Node:
    """Say that rows keep their places until the page is loaded anew: browsers tell here how many are new.

    They change the number alone, so that the sentence takes as many lines as before and no row moves. Of rows of a
    service that is `silent` nobody knows whether they are gone.
    """
    return h.div(".fresh", role="status")[
        h.a(href=to)["Show it as it is now"],
        h.span(".soft", data_held_back=True, data_silent=" ".join(silent) or None)[
            "0 new since this was shown. What is gone stays."
        ],
    ]


def row(*cells: Node, to: str | None = None, kind: str = "", name: str | None = None, of: str | None = None) -> Node:
    """Make a row; with an address it is one of those that j and k move through, and Enter opens.

    Where rows come and go, a name of its own (an id of HTML) keeps each the row that it is; `of` is the service that
    tells of it.
    """
    return h.tr(id=name, class_=kind or None, data_to=to, data_of=of)[(h.td[each] for each in cells)]


def numbers(*pairs: tuple[Node, Node]) -> Node:
    """Show a few figures with what each is."""
    return h.dl(".numbers")[(h.div[h.dt[name], h.dd[value]] for name, value in pairs)]


def command(*lines: str) -> Node:
    """Show commands that do the same, each with a button that copies it."""
    return h.div(".says")[
        h.p["The same by command:"],
        (
            h.div(".line")[
                h.pre(tabindex="0")[h.code[each]],
                h.button(".copy", type="button", data_copy=each, aria_label="Copy the command", title="Copy"),
            ]
            for each in lines
        ),
    ]


def button(
    to: str,
    text: str,
    *,
    kind: str = "",
    fields: Mapping[str, str] | None = None,
    label: str | None = None,
    disabled: bool = False,
) -> Node:
    """Make a button that does something at once, at an address of ours."""
    return h.form(".inline", method="post", action=to)[
        (h.input(type="hidden", name=name, value=value) for name, value in (fields or {}).items()),
        h.button(class_=kind or None, type="submit", aria_label=label, disabled=disabled)[text],
    ]


def field(
    name: str, label: str, value: str = "", *, error: str | None = None, help_text: str = "", **attributes: Any
) -> Node:
    """Make a field of a form with its label, and what is wrong with it."""
    told = f"{name}-told" if error or help_text else None
    return h.div(class_="field wrong" if error else "field")[
        h.label(for_=name)[label],
        h.input(
            id=name,
            name=name,
            value=value,
            aria_describedby=told,
            aria_invalid="true" if error else None,
            **{"type": "text", **attributes},
        ),
        told and h.small(id=told)[error or help_text],
    ]


def choice(name: str, label: str, options: Mapping[str, str], chosen: str = "") -> Node:
    """Make a field with which one of some is chosen."""
    return h.div(".field")[
        h.label(for_=name)[label],
        h.select(id=name, name=name)[
            (h.option(value=value, selected=value == chosen)[text] for value, text in options.items())
        ],
    ]


def notice(text: Node, kind: str = WAITS) -> Node:
    """Say something that matters, so that it is read out as well."""
    return h.div(f".notice.{kind}", role="alert" if kind == WRONG else "status")[
        h.span(aria_hidden="true")[SIGNS[kind]], " ", text
    ]


def more(shown: int, whole: str | int | None, path: str, query: Mapping[str, str], after: str | None) -> Node:
    """Say how much of a list is shown, and lead to the rest: no list just ends."""
    of = f" of {whole:,}" if isinstance(whole, int) else f" of {whole}" if whole else ""
    begun = "The next" if query.get("after") else "The first"
    said = f"{begun} {shown:,}{of}." if after or query.get("after") else f"All {shown:,}."
    return h.p(".more")[
        said,
        query.get("after") and [" ", h.a(href=address(path, {**query, "after": ""}))["To the first"]],
        after and [" ", h.a(href=address(path, {**query, "after": after}), rel="next")["Show more"]],
    ]


def address(path: str, query: Mapping[str, str | None]) -> str:
    """Make an address of a page, without what is empty."""
    said = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(said)}" if said else path


def live(path: str, content: Node, *, name: str = "live") -> Node:
    """Show something that the console keeps fresh by sending it again whenever it is another."""
    return h.div(f"#{name}", {"hx-sse:connect": path, "hx-swap": "innerMorph"})[content]


def figure(value: Node) -> Node:
    """Show a number in a cell of a table, in line with those above and below it."""
    return h.span(".figure")[f"{value:,}" if isinstance(value, int) else value]


def counted(number: int, one: str, many: str = "") -> str:
    """Say how many there are of something: 1 event, 2 events."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def listed(names: Sequence[str]) -> str:
    """Name several: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


# Commands that do the same as a page.


def curl(role: str, url: str, body: Mapping[str, Any] | str | None = None, *, method: str = "") -> str:
    """Write the command that asks a service the same, as one of the sandbox's people of this role.

    A body that is text has words in it, in capitals, that are to be replaced: it is sent as it stands.
    """
    asked = f'curl -s --oauth2-bearer "$(./sliceline token --as {role})" {shlex.quote(url)}'
    way = f" -X {method}" if method else ""
    if body is None:
        return asked + way
    key = '-H "Idempotency-Key: page-$RANDOM$RANDOM"'
    sent = body if isinstance(body, str) else json.dumps(body)
    return f"{asked}{way} -H 'Content-Type: application/json' {key} -d {shlex.quote(sent)}"
