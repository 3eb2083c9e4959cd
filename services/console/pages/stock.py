"""Shows what is in stock, and lets the staff say what came, what went and what they counted."""

from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from backbone.ids import new_id
from services.console.answering import objecting, refused_with, whole
from services.console.asking import Ask, Refused, at
from services.console.elements import (
    OVER,
    WAITS,
    WELL,
    WRONG,
    address,
    curl,
    field,
    mark,
    more,
    notice,
    numbers,
    row,
    table,
)
from services.console.routing import Pages
from services.console.shell import Page

SEES, WRITES = ("stock.read", "stock.write"), ("stock.write",)
pages = Pages()
pages.section("/stock", "Stock", "Work", *SEES)
MOST = 100
CHANNEL = "console"
"""What inventory writes down as where an adjustment came from."""
STANDINGS = {"": "All", "out": "Out", "low": "Low", "over": "Over"}
Level = Mapping[str, Any]


@pages.page("/stock", *SEES, live=True)
async def stock(ask: Ask) -> Page:
    """Lists what is kept, or what there is too little or too much of."""
    standing, after = ask.query.get("standing", ""), ask.query.get("after")
    found = await ask.get("inventory", "/stock", standing=standing, after=after, limit=MOST)
    levels = found["items"]
    heads = ["What", "Available", "On hand", "Promised", "Low at", "Over at", "Stands"]
    body = [
        _filters(standing),
        table(heads, [_row(each) for each in levels], _empty(standing), "Stock"),
        more(len(levels), None, "/stock", ask.query, found["next"]) if levels else None,
    ]
    url = ask.services.address("inventory")
    said = f"?standing={standing}" if standing else ""
    return Page("Stock", body, (curl("stock", f"{url}/stock{said}"),))


def _filters(standing: str) -> Node:
    return h.nav(".acts", aria_label="Which stock")[
        (
            h.a(
                class_="act main" if value == standing else "act",
                href=address("/stock", {"standing": value}),
                aria_current="true" if value == standing else None,
            )[text]
            for value, text in STANDINGS.items()
        )
    ]


def _empty(standing: str) -> str:
    said = {"out": "Nothing is out.", "low": "Nothing is low.", "over": "There is too much of nothing."}
    return said.get(standing, "Here is what is kept in stock, once anything is: POST /stock of inventory adds it.")


def _row(level: Level) -> Node:
    to = at("/stock/{sku}", sku=level["sku"])
    counts = (f"{level[each]:,}" for each in ("available", "on_hand", "reserved", "threshold", "ceiling"))
    return row(h.a(href=to)[level["sku"]], *counts, stands(level), to=to)


def stands(level: Level) -> Node:
    """Show whether there is too little or too much."""
    standing = standing_of(level)
    return mark(standing or "well", {"out": WRONG, "low": WAITS, "over": OVER, None: WELL}[standing])


def standing_of(level: Level) -> str | None:
    """Tell how there is too little or too much, as inventory's filter has it; None where neither is."""
    available = level["available"]
    if available <= 0:
        return "out"
    if available <= level["threshold"]:
        return "low"
    return "over" if available > level["ceiling"] else None


@pages.page("/stock/{sku}", *SEES)
async def sku(ask: Ask) -> Page:
    """Shows one SKU, with what the staff may write down of it."""
    level = await ask.found("inventory", at("/stock/{sku}", sku=ask.path["sku"]))
    if level is None:
        return Page("Not kept", notice(f"No stock is kept under {ask.path['sku']}.", WRONG), status=404)
    counts = {"Available": "available", "On hand": "on_hand", "Promised to orders": "reserved", "Sold": "sold"}
    body = [
        h.p[stands(level)],
        numbers(*((name, f"{level[key]:,}") for name, key in counts.items())),
        ask.query.get("done") and notice("It is written down.", WELL),
        h.div(".columns")[_came(ask), _counted(ask, level), _limits(ask, level)] if ask.may(*WRITES) else None,
        h.p[h.a(href="/stock")["To all stock"]],
    ]
    return Page(level["sku"], body, _says(ask, level["sku"]))


def _says(ask: Ask, name: str) -> tuple[str, ...]:
    url = f"{ask.services.address('inventory')}{at('/stock/{sku}', sku=name)}"
    said = {"change": 20, "channel": CHANNEL, "reason": "delivered"}
    return curl("stock", url), curl("stock", f"{url}/adjustments", said)


def _form(ask: Ask, does: str, title: str, text: str, *fields: Node) -> Node:
    to = at("/stock/{sku}", sku=ask.path["sku"])
    # A browser that goes back would fill in what is written down already, beside a new key.
    return h.form(".panel", method="post", action=to, autocomplete="off")[
        h.h2[title],
        h.input(type="hidden", name="does", value=does),
        # What is sent twice, because no answer came, is written down once.
        h.input(type="hidden", name="key", value=new_id()),
        fields,
        h.button(".main", type="submit")[text],
    ]


def _typed(ask: Ask, does: str, name: str, otherwise: str = "") -> str:
    """Return what was typed into a field of this form, where it was this form that was sent."""
    return ask.form.get(name, otherwise) if ask.form.get("does") == does else otherwise


def _came(ask: Ask) -> Node:
    return _form(
        ask,
        "change",
        "Came or went",
        "Write down",
        _number(ask, "change", "change", "How many more", help_text="Less than 0 where they went."),
        _reason(ask, "change", "delivered"),
    )


def _counted(ask: Ask, level: Level) -> Node:
    help_text = f"On hand should be {level['on_hand']:,}."
    return _form(
        ask,
        "count",
        "Counted",
        "Write down the count",
        _number(ask, "count", "set", "How many there are", help_text=help_text, min="0"),
        _reason(ask, "count", "counted"),
    )


def _limits(ask: Ask, level: Level) -> Node:
    return _form(
        ask,
        "limits",
        "When to warn",
        "Set limits",
        _number(ask, "limits", "threshold", "Low at or below", str(level["threshold"]), min="0"),
        _number(ask, "limits", "ceiling", "Over above", str(level["ceiling"]), min="0"),
    )


def _number(ask: Ask, does: str, name: str, label: str, otherwise: str = "", **more: Any) -> Node:
    return field(name, label, _typed(ask, does, name, otherwise), type="number", required=True, **more)


def _reason(ask: Ask, does: str, otherwise: str) -> Node:
    return h.div(".field")[
        h.label(for_=f"{does}-reason")["Why"],
        h.input(
            id=f"{does}-reason",
            name="reason",
            type="text",
            value=_typed(ask, does, "reason", otherwise),
            required=True,
            maxlength="200",
        ),
    ]


@pages.act("/stock/{sku}", *WRITES)
async def write_down(ask: Ask) -> str | Page:
    """Writes down what came or went, what was counted, or when to warn."""
    path, form = at("/stock/{sku}", sku=ask.path["sku"]), ask.form
    if form.get("does") == "change" and whole(form.get("change", "")) == 0:
        told = "0 more changes nothing. Say how many came, or with a minus before it how many went."
        return objecting(await sku(ask), told)
    try:
        if form.get("does") == "limits":
            limits = {name: whole(form.get(name, "")) for name in ("threshold", "ceiling")}
            await ask.act("PATCH", "inventory", path, limits, key=form.get("key"))
        else:
            name = "set" if form.get("does") == "count" else "change"
            said = {name: whole(form.get(name, "")), "channel": CHANNEL, "reason": form.get("reason", "")}
            await ask.act("POST", "inventory", f"{path}/adjustments", said, key=form.get("key"))
    except Refused as refused:
        return refused_with(await sku(ask), refused)
    return address(path, {"done": "yes"})
