"""Makes the forms by which dead letters are handled again or given up, and reads what comes of them."""

from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from backbone.ids import new_id
from services.console import forms
from services.console.asking import at
from services.console.elements import button, field
from services.console.everywhere import whole_number

GIVE_UP = "give up"
SELECTORS = ("letter", "key", "group")


def rehearsing(service: str, which: Mapping[str, str], what: str) -> Node:
    """Make the button that begins a redrive by a dry run, which changes nothing."""
    return h.section(".panel")[
        h.h2["Handle again"],
        h.p[
            f"A dry run of {what} tells first which rows would change, and what would fail again. ",
            "Nothing is changed by it.",
        ],
        button(_to("rehearse", service), "Begin with a dry run", kind="main", fields={**which, "once": new_id()}),
    ]


def discarding(
    service: str, which: Mapping[str, str], word: str, what: str, typed: Mapping[str, str], *, is_open: bool = False
) -> Node:
    """Make the form that gives letters up: with a reason, and a `word` to be typed that says how much that is."""
    return h.section(".panel")[
        h.details(open=is_open or bool(typed))[
            h.summary["Give up"],
            h.p[f"{what[:1].upper()}{what[1:]} will never be handled; what waits behind goes on. It can be restored."],
            h.form(method="post", action=_to("discard", service))[
                (h.input(type="hidden", name=name, value=value) for name, value in which.items()),
                field(
                    "reason", "Why", typed.get("reason", ""), required=True, maxlength="500", help_text="It is kept."
                ),
                forms.typed(GIVE_UP, word),
                h.button(".danger", type="submit")["Discard"],
            ],
        ]
    ]


def selection(form: Mapping[str, str]) -> dict[str, Any]:
    """Read from a form which letters are meant, as services are asked for them."""
    which: dict[str, Any] = {name: form[name] for name in SELECTORS if form.get(name)}
    if "letter" in which:
        found = whole_number(which["letter"])
        which["letter"] = -1 if found is None else found
    return which or {"all": True}


def _to(act: str, service: str) -> str:
    return at(f"/dead-letters/{{service}}/{act}", service=service)
