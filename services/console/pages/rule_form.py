"""Makes the form of a rule, and reads it."""

from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from backbone.ids import new_id
from services.console.asking import Refused
from services.console.elements import field
from services.console.forms import NotJson, area, read_json, tick, within


def form(to: str, said: Mapping[str, str], act: str, refused: Refused | None, version: str = "") -> Node:
    """Make the form, with what was said and what is wrong with it."""
    wrong = {name: within(refused, name) for name in ("name", "bus", "pattern", "targets")} if refused else {}
    return h.form(method="post", action=to)[
        h.input(type="hidden", name="once", value=new_id()),
        version and h.input(type="hidden", name="version", value=version),
        field("name", "Name", said.get("name", ""), error=wrong.get("name"), required=True, maxlength="64"),
        field(
            "bus",
            "Bus",
            said.get("bus", ""),
            error=wrong.get("bus"),
            required=True,
            help_text="default, or one of buses.toml",
        ),
        area("pattern", "Pattern", said.get("pattern", ""), error=wrong.get("pattern"), rows="7", required=True),
        area(
            "targets",
            "Targets",
            said.get("targets", ""),
            error=wrong.get("targets"),
            rows="4",
            required=True,
            help_text='One to five: {"webhook": NAME} or {"bus": NAME}, each with an "input" if it wants another shape',
        ),
        tick(
            "means_all", "It is for every source and type, though the pattern names none", checked="means_all" in said
        ),
        tick("enabled", "It works", checked="enabled" in said),
        h.button(".main", type="submit")[act],
        " ",
        h.button(type="submit", formmethod="get", formaction="/rules/try", formnovalidate=True)["Try the pattern"],
    ]


def content(form: Mapping[str, str]) -> dict[str, Any]:
    """Read a rule as the form has it. Raises NotJson."""
    return {
        "name": form.get("name", ""),
        "bus": form.get("bus", ""),
        "pattern": _json(form, "pattern"),
        "targets": _json(form, "targets"),
        "means_all": "means_all" in form,
        "enabled": "enabled" in form,
    }


def _json(form: Mapping[str, str], name: str) -> Any:
    try:
        return read_json(form.get(name, ""))
    except NotJson as error:
        raise NotJson(f"{name} {error}") from None
