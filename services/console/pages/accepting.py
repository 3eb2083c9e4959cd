"""Accepts what does not add up at a consumer, for those who may: what will be accepted is said first."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import htpy as h
from htpy import Node
from starlette.exceptions import HTTPException

from backbone.ids import new_id
from services.console import forms
from services.console.asking import Ask, Refused, at
from services.console.elements import WELL, WRONG, address, field, mark, notice
from services.console.everywhere import whole_number
from services.console.losses import LEDGER
from services.console.pages.sheets import COUNTS, PATH, SCOPE, difference
from services.console.routing import Pages
from services.console.shell import Page

ACCEPT = "accept it"

pages = Pages()


@pages.page(PATH, SCOPE)
async def plan(ask: Ask) -> Page:
    """Shows what does not add up at a consumer, of all types or of one, and asks for a reason to accept it."""
    return await _page(ask, ask.query.get("type", ""))


@pages.act(PATH, SCOPE)
async def accept(ask: Ask) -> Page | str:
    """Accepts as much as was shown; what has come on top since is refused."""
    consumer, only = ask.path["consumer"], ask.form.get("type", "")
    if not forms.is_typed(ask.form, ACCEPT, consumer):
        return await _page(ask, only, f"Nothing was accepted: type {consumer} to confirm.")
    counts = {name: whole_number(ask.form.get(name, "")) for name in COUNTS}
    body = {"consumer": consumer, "type": only or None, **counts, "reason": ask.form.get("reason", "")}
    try:
        await ask.act("POST", LEDGER, "/balance/acceptances", body, key=ask.form.get("once"))
    except Refused as refused:
        what = "Whether it was accepted is not known." if ask.may_have_acted else "Nothing was accepted."
        return await _page(ask, only, f"{what} {refused.in_words}")
    return "/operations"


async def _page(ask: Ask, only: str, refused: str = "") -> Page:
    consumer = ask.path["consumer"]
    sheets = (await ask.get(LEDGER, "/balance"))["consumers"]
    sheet = next((each for each in sheets if each["consumer"] == consumer), None)
    if sheet is None:
        raise HTTPException(404)
    chosen = [each for each in sheet["differences"] if only in ("", each["type"])]
    body = [
        refused and notice(refused, WRONG),
        _types(consumer, sheet["differences"], only),
        _form(ask, chosen, only) if chosen else _nothing(consumer, only),
        h.p[h.a(href="/operations")["To the balance sheet"]],
    ]
    option = f" --type {shlex.quote(only)}" if only else ""
    says = (f'./sliceline balance accept {shlex.quote(consumer)}{option} --reason "…"',)
    return Page(f"What does not add up at {consumer}", body, says, status=422 if refused else 200)


def _nothing(consumer: str, only: str) -> Node:
    return notice(f"There is nothing to accept: {consumer} adds up{f' in {only}' if only else ''}.", WELL)


def _types(consumer: str, differences: Sequence[Mapping[str, Any]], only: str) -> Node:
    """Lead to what is to be accepted of one type alone, where there are several."""
    types = list(dict.fromkeys(each["type"] for each in differences))
    path = at(PATH, consumer=consumer)
    ways = (
        h.a(href=address(path, {"type": each}), aria_current="true" if each == only else None)[each or "all"]
        for each in ("", *types)
    )
    return h.p(".jumps")[ways] if types[1:] else None


def _form(ask: Ask, chosen: Sequence[Mapping[str, Any]], only: str) -> Node:
    consumer = ask.path["consumer"]
    hidden = {"once": new_id(), "type": only, **{name: sum(each[name] for each in chosen) for name in COUNTS}}
    return [
        h.div(".panel")[
            h.ul(".plain")[(h.li[mark("", WRONG), " ", difference(each)] for each in chosen)],
            h.p[
                "It stays on the sheet with who, when and why, and is no alarm any longer; what comes on top is one. ",
                "It cannot be taken back.",
            ],
        ],
        h.form(method="post", action=at(PATH, consumer=consumer))[
            (h.input(type="hidden", name=name, value=str(value)) for name, value in hidden.items()),
            field(
                "reason",
                "Why",
                ask.form.get("reason", ""),
                required=True,
                maxlength="500",
                help_text="It is kept, and shown.",
            ),
            forms.typed(ACCEPT, consumer),
            h.button(".danger", type="submit")["Accept"],
        ],
    ]
