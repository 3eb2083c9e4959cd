"""Shows the events that were given up: by whom, when and why, and puts them back."""

from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from services.console.asking import Ask, at
from services.console.elements import button, field, identity, moment, more, row, table
from services.console.everywhere import service_of
from services.console.masked import masked
from services.console.pages.dead_letters import name_of
from services.console.pages.tailing import masking_note
from services.console.routing import Pages
from services.console.shell import Page

pages = Pages()


@pages.page("/dead-letters/{service}/discarded", "operations.read")
async def discarded(ask: Ask) -> Page:
    """Shows a service's discarded letters."""
    service = service_of(ask)
    which = {name: ask.query[name] for name in ("key", "group") if ask.query.get(name)}
    after = ask.query.get("after")
    page = await ask.get(service, "/dead-letters/discarded", **which, after=after)
    path = at("/dead-letters/{service}/discarded", service=service)
    found = [_row(ask, service, masked(ask, each)) for each in page["items"]]
    body = [
        masking_note(ask),
        h.p(".soft")[h.a(href=at("/dead-letters/{service}", service=service))[f"What is parked at {service}"]],
        h.form(".filters", action=path)[
            field("key", "Key", which.get("key", "")),
            h.button(type="submit")["Show"],
            which and h.a(href=path)["All"],
        ],
        table(
            ("Letter", "Key", "Event", "Given up", "Why", ""),
            found,
            "What somebody gives up would be here, to be restored until it is purged.",
            f"Discarded letters of {service}",
        ),
        found and more(len(found), None, path, {**which, "after": after or ""}, page["next"]),
    ]
    says = (f"./sliceline dead-letters restore {service} NUMBER",)
    return Page(f"Discarded letters of {service}", body, says)


def _row(ask: Ask, service: str, each: Mapping[str, Any]) -> Node:
    number = str(each["id"])
    return row(
        number,
        identity(each["key"]),
        name_of(each["type"]),
        [moment(each["discarded_at"]), h.br, each["discarded_by"]],
        each["reason"],
        ask.may("operations.act")
        and button(
            at("/dead-letters/{service}/restore", service=service),
            "Restore",
            fields={"letter": number},
            label=f"Restore letter {number}",
        ),
    )
