"""Makes fields of forms that hold more than a line, and reads JSON that somebody has typed into one."""

from collections.abc import Mapping
from typing import Any

import htpy as h
import msgspec
from htpy import Node

from backbone.errors import SlicelineError
from services.console.asking import Refused
from services.console.elements import field


class NotJson(SlicelineError):
    """What was typed is no JSON; the message says where."""


def area(
    name: str, label: str, value: str = "", *, error: str | None = None, help_text: str = "", **attributes: Any
) -> Node:
    """Make a field of several lines with its label, and what is wrong with it."""
    told = f"{name}-told" if error or help_text else None
    return h.div(f".field.wide{'.wrong' if error else ''}")[
        h.label(for_=name)[label],
        h.textarea(
            id=name,
            name=name,
            spellcheck="false",
            aria_describedby=told,
            aria_invalid="true" if error else None,
            **attributes,
        )[value],
        told and h.small(id=told)[error or help_text],
    ]


def tick(name: str, label: str, *, checked: bool) -> Node:
    """Make a field that is on or off."""
    return h.div(".field")[
        h.label(for_=name)[h.input(type="checkbox", id=name, name=name, value="on", checked=checked), " ", label]
    ]


def typed(what: str, word: str, *, required: bool = True) -> Node:
    """Make the field of a form that takes something away: the word has to be typed. A page may have several."""
    return field(name_of(what), f"Type {word} to {what}", required=required, autocomplete="off")


def is_typed(form: Mapping[str, str], what: str, word: str) -> bool:
    """Tell whether the word was typed."""
    return form.get(name_of(what), "") == word


def read_json(text: str) -> Any:
    """Read JSON; nothing at all is None. Raises NotJson."""
    try:
        return msgspec.json.decode(text) if text.strip() else None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NotJson(f"is no JSON: {error}") from None


def within(refused: Refused, name: str) -> str | None:
    """Return what is wrong with a field, or with something within it."""
    found = [
        f"{place.removeprefix(name).lstrip('.')}: {message}" if place != name else message
        for place, message in refused.errors.items()
        if place == name or place.startswith((f"{name}.", f"{name}["))
    ]
    return "; ".join(found) or None


def name_of(what: str) -> str:
    """Name the field in which a word is typed."""
    return f"confirm-{what.replace(' ', '-')}"
