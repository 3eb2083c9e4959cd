"""Makes the forms of a webhook endpoint, reads it, and shows the secret of one that was made."""

from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from backbone.ids import new_id
from services.console.asking import Refused, at
from services.console.elements import WAITS, field, identity, notice
from services.console.forms import area, read_json, tick, typed, within
from services.console.shell import Page

AGAIN = {
    "replay-missing": "Send what it has missed",
    "recover": "Send everything again, what was delivered as well",
}


def form(to: str, said: Mapping[str, str], act: str, refused: Refused | None, *, is_new: bool = False) -> Node:
    """Make the form, with what was said and what is wrong with it."""

    def line(name: str, label: str, otherwise: str = "", **more: Any) -> Node:
        error = within(refused, name) if refused else None
        return field(name, label, said.get(name, otherwise), error=error, **more)

    return h.form(method="post", action=to)[
        h.input(type="hidden", name="once", value=new_id()),
        is_new and line("name", "Name", help_text="An id of ours where it has none"),
        line("url", "Address", required=True, placeholder="https://hooks.example.com/sliceline"),
        area(
            "pattern",
            "Which events it gets",
            said.get("pattern", ""),
            error=within(refused, "pattern") if refused else None,
            rows="5",
            help_text="As rules have it; empty: only what rules send it",
        ),
        line("description", "Description", maxlength="200"),
        h.div(".columns")[
            line("concurrency", "Calls at a time", "4", type="number", min="1", max="32"),
            line(
                "rate", "Calls a second", type="number", min="0", step="any", help_text="Empty: as many as it answers"
            ),
            line("allowed_failures", "Failures until it is disabled", "100", type="number", min="1", max="10000"),
        ],
        tick("ordered", "Events of one key come one by one, in their order", checked="ordered" in said),
        h.button(".main", type="submit")[act],
    ]


def content(form: Mapping[str, str]) -> dict[str, Any]:
    """Read an endpoint as the form has it; what is no number the service refuses. Raises NotJson."""
    return {
        "url": form.get("url", ""),
        "pattern": read_json(form.get("pattern", "")),
        "description": form.get("description") or None,
        "ordered": "ordered" in form,
        "concurrency": _number(form.get("concurrency", "4")),
        "rate": _number(form.get("rate", "")) if form.get("rate") else None,
        "allowed_failures": _number(form.get("allowed_failures", "100")),
    }


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def with_secret(made: Mapping[str, Any], said: str) -> Page:
    """Show the secret of an endpoint, this once."""
    body = [
        notice([said, " Keep its secret: it is not shown again."], WAITS),
        h.p[identity(made["secret"])],
        h.p[h.a(".act.main", href=at("/webhooks/{endpoint}", endpoint=made["id"]))["To the endpoint"]],
    ]
    return Page(made["id"], body, ("./sliceline webhooks listen",))


def sending_again(path: str, name: str) -> Node:
    """Make the form that sends an endpoint what it has missed since a moment, or everything."""
    return h.form(method="post", action=f"{path}/again")[
        h.input(type="hidden", name="once", value=new_id()),
        field("since", "Since (UTC)", type="datetime-local", step="1", required=True),
        h.fieldset[
            h.legend["What"],
            (
                h.p[h.label[h.input(type="radio", name="what", value=each, checked=each != "recover"), f" {text}"]]
                for each, text in AGAIN.items()
            ),
        ],
        typed("send everything again", name, required=False),
        h.button(".main", type="submit")["Send again"],
    ]
