"""Shows webhook endpoints, has them made, changed, proven and taken away, and sends again what they have missed."""

import asyncio
from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from backbone.ids import new_id
from services.console.asking import Ask, Refused, at
from services.console.elements import (
    OVER,
    WAITS,
    WELL,
    WRONG,
    address,
    button,
    curl,
    identity,
    live,
    mark,
    moment,
    more,
    notice,
    numbers,
    row,
    table,
)
from services.console.forms import NotJson, is_typed, typed
from services.console.masked import pretty
from services.console.pages import deliveries
from services.console.pages.endpoint_form import AGAIN, content, form, sending_again, with_secret
from services.console.pages.rules import told
from services.console.pages.tailing import moment_of
from services.console.routing import Pages
from services.console.shell import Page

pages = Pages()
pages.include(deliveries.pages)
pages.section("/webhooks", "Webhooks", "Events", "webhooks.read")
Endpoint = Mapping[str, Any]
PATTERN = '{"type": [{"prefix": "sliceline.orders."}]}'
STATUSES = {"active": WELL, "disabled": WRONG, "unproven": WAITS}


@pages.page("/webhooks", "webhooks.read", live=True)
async def webhooks(ask: Ask) -> Page:
    """Lists the endpoints."""
    found = await ask.get("webhooks", "/endpoints", limit=50, after=ask.query.get("after"))
    body = [
        ask.may("webhooks.write") and h.p[h.a(".act.main", href="/webhooks/new")["Make an endpoint"]],
        table(
            ("Endpoint", "Address", "Gets", "Standing", "Failures in a row"),
            map(_row, found["items"]),
            ["There is no endpoint. ", h.code["./sliceline webhooks listen"], " makes one and prints what comes."],
            "Endpoints",
        ),
        found["items"] and more(len(found["items"]), None, "/webhooks", ask.query, found["next"]),
    ]
    return Page(
        "Webhooks",
        body,
        ("./sliceline webhooks listen", curl("reader", ask.services.address("webhooks") + "/endpoints")),
    )


@pages.page("/webhooks/new", "webhooks.write")
async def new(ask: Ask) -> Page:
    """Shows the form of an endpoint that is not there yet."""
    return _making(ask, {"pattern": PATTERN})


@pages.act("/webhooks/new", "webhooks.write")
async def make(ask: Ask) -> Page:
    """Makes an endpoint, and shows its secret, this once."""
    try:
        wanted = {"name": ask.form.get("name") or None, **content(ask.form)}
        made = await ask.act("POST", "webhooks", "/endpoints", wanted, key=ask.form.get("once"))
    except NotJson as error:
        return _making(ask, ask.form, f"pattern {error}")
    except Refused as refused:
        return _making(ask, ask.form, told(refused), refused)
    return with_secret(made, "It was made, and is pinged: it gets events once it has answered with the challenge.")


@pages.page("/webhooks/{endpoint}", "webhooks.read")
async def endpoint(ask: Ask) -> Page:
    """Shows an endpoint: how it stands, and what it is or was owed."""
    return await _page(ask)


@pages.part("/standing/webhooks/{endpoint}", "webhooks.read")
async def standing(ask: Ask) -> Node:
    """Shows how an endpoint stands, and its deliveries."""
    known, owed = await _look(ask)
    return _standing(ask, known, owed)


@pages.act("/webhooks/{endpoint}", "webhooks.write")
async def change(ask: Ask) -> "str | Page":
    """Changes an endpoint."""
    try:
        return await _do(ask, "PATCH", "", content(ask.form))
    except NotJson as error:
        return await _page(ask, ask.form, f"pattern {error}")


@pages.act("/webhooks/{endpoint}/status", "webhooks.write")
async def switch(ask: Ask) -> "str | Page":
    """Enables an endpoint, or disables it."""
    return await _do(ask, "PATCH", "", {"status": ask.form.get("status")})


@pages.act("/webhooks/{endpoint}/ping", "webhooks.write")
async def ping(ask: Ask) -> "str | Page":
    """Sends an endpoint a challenge."""
    return await _do(ask, "POST", "/ping")


@pages.act("/webhooks/{endpoint}/again", "webhooks.write")
async def again(ask: Ask) -> "str | Page":
    """Sends again what came since a moment, or what of it was missed."""
    what = ask.form.get("what", "")
    if what not in AGAIN:
        return await _page(ask, None, "Say whether what was missed is sent, or everything.")
    if what == "recover" and not is_typed(ask.form, "send everything again", ask.path["endpoint"]):
        return await _page(ask, None, "Nothing was sent: to send everything again, its name has to be typed.")
    return await _do(ask, "POST", f"/{what}", {"since": moment_of(ask.form.get("since", ""))})


@pages.act("/webhooks/{endpoint}/secret", "webhooks.write")
async def rotate(ask: Ask) -> Page:
    """Makes a new secret, and shows it, this once."""
    if not is_typed(ask.form, "make a new secret", ask.path["endpoint"]):
        return await _page(ask, None, "The secret is the same: what was typed is not its name.")
    path = at("/endpoints/{endpoint}/secret", endpoint=ask.path["endpoint"])
    try:
        made = await ask.act("POST", "webhooks", path, key=ask.form.get("once"))
    except Refused as refused:
        return await _page(ask, None, told(refused), refused)
    return with_secret(made, "The secret before signs as well for a day.")


@pages.act("/webhooks/{endpoint}/delete", "webhooks.write")
async def delete(ask: Ask) -> "str | Page":
    """Takes an endpoint away with all that it is owed, once its name was typed."""
    if not is_typed(ask.form, "delete it", ask.path["endpoint"]):
        return await _page(ask, None, "Nothing was deleted: what was typed is not its name.")
    return await _do(ask, "DELETE", "", to="/webhooks")


async def _do(ask: Ask, method: str, what: str, body: Any = None, to: str | None = None) -> "str | Page":
    name = ask.path["endpoint"]
    try:
        path = at("/endpoints/{endpoint}", endpoint=name) + what
        await ask.act(method, "webhooks", path, body, key=ask.form.get("once"))
    except Refused as refused:
        return await _page(ask, ask.form if method == "PATCH" and "url" in ask.form else None, told(refused), refused)
    return to or at("/webhooks/{endpoint}", endpoint=name)


async def _look(ask: Ask) -> tuple[Endpoint, Mapping[str, Any]]:
    path = at("/endpoints/{endpoint}", endpoint=ask.path["endpoint"])
    asked = {"status": ask.query.get("status"), "after": ask.query.get("after")}
    known, owed = await asyncio.gather(
        ask.get("webhooks", path), ask.get("webhooks", f"{path}/deliveries", limit=50, **asked)
    )
    return known, owed


async def _page(
    ask: Ask, said: Mapping[str, str] | None = None, wrong: str = "", refused: Refused | None = None
) -> Page:
    name = ask.path["endpoint"]
    known, owed = await _look(ask)
    fresh = address(f"/live/standing{at('/webhooks/{endpoint}', endpoint=name)}", _asked(ask))
    body = [
        wrong and notice(wrong, WRONG),
        live(fresh, _standing(ask, known, owed), name="standing"),
        ask.may("webhooks.write") and _acts(known, said, refused),
    ]
    api = ask.services.address("webhooks") + at("/endpoints/{endpoint}", endpoint=name)
    says = (
        curl("reader", api),
        curl("reader", f"{api}/deliveries?status=parked"),
        curl("operator", f"{api}/replay-missing", {"since": "2026-11-01T18:00:00Z"}),
    )
    return Page(name, body, says, refused.status if refused else 422 if wrong else 200)


def _asked(ask: Ask) -> dict[str, str | None]:
    return {name: ask.query.get(name) for name in ("status", "after")}


def _standing(ask: Ask, known: Endpoint, owed: Mapping[str, Any]) -> Node:
    rate = f", {known['rate']:g} a second" if known["rate"] else ""
    return [
        known["reason"] and notice(known["reason"], WRONG if known["status"] == "disabled" else WAITS),
        numbers(
            ("Standing", mark(known["status"], STATUSES.get(known["status"], OVER))),
            ("Failures in a row", f"{known['failures']:,} of {known['allowed_failures']:,}"),
            ("Calls", f"{'in order, ' if known['ordered'] else ''}{known['concurrency']} at a time{rate}"),
            ("Pinged", [moment(known["pinged_at"]), known["ping_result"] and f": {known['ping_result']}"]),
            ("Rests until", moment(known["rests_until"], "it does not rest")),
        ),
        known["old_secret_until"] and h.p["The secret before signs until ", moment(known["old_secret_until"]), "."],
        h.p[identity(known["url"])],
        h.p[known["description"]] if known["description"] else None,
        h.pre(tabindex="0")[h.code[pretty(known["pattern"])]]
        if known["pattern"]
        else h.p["It gets what rules send it."],
        h.h2["What it is or was owed"],
        deliveries.listed(ask, known["id"], owed),
    ]


def _acts(known: Endpoint, said: Mapping[str, str] | None, refused: Refused | None) -> Node:
    name, path = known["id"], at("/webhooks/{endpoint}", endpoint=known["id"])
    is_off = known["status"] == "disabled"
    to, text = ("active", "Enable it: it has to prove itself") if is_off else ("disabled", "Disable it")
    stands = {
        "url": known["url"],
        "pattern": pretty(known["pattern"]) if known["pattern"] else "",
        "description": known["description"] or "",
        "concurrency": str(known["concurrency"]),
        "rate": f"{known['rate']:g}" if known["rate"] else "",
        "allowed_failures": str(known["allowed_failures"]),
        **({"ordered": "on"} if known["ordered"] else {}),
    }
    return [
        h.h2["What can be done"],
        h.p[
            button(f"{path}/ping", "Ping it", fields={"once": new_id()}),
            " ",
            button(f"{path}/status", text, fields={"status": to, "once": new_id()}),
        ],
        _folded("Change it", form(path, said or stands, "Change it", refused), is_open=said is not None),
        _folded("Send again", sending_again(path, name)),
        _folded(
            "Make a new secret",
            h.p["For a day webhooks are signed with this one as well as with the new one, which is shown once."],
            _confirmed(f"{path}/secret", "make a new secret", name, "Make a new secret"),
        ),
        _folded(
            "Delete it",
            h.p["It gets nothing any more, and what it is owed is forgotten. That cannot be undone."],
            _confirmed(f"{path}/delete", "delete it", name, "Delete the endpoint"),
        ),
    ]


def _folded(name: str, *content: Node, is_open: bool = False) -> Node:
    return h.details(open=is_open)[h.summary[name], content]


def _confirmed(to: str, name: str, word: str, text: str) -> Node:
    return h.form(method="post", action=to)[
        h.input(type="hidden", name="once", value=new_id()),
        typed(name, word),
        h.button(".danger", type="submit")[text],
    ]


def _making(ask: Ask, said: Mapping[str, str], wrong: str = "", refused: Refused | None = None) -> Page:
    body = [
        wrong and notice(wrong, WRONG),
        form("/webhooks/new", said, "Make it", refused, is_new=True),
        h.p(".soft")["It is sent a ping, and gets events once it has answered with the challenge."],
    ]
    says = (
        "./sliceline webhooks listen",
        curl("operator", ask.services.address("webhooks") + "/endpoints", '{"url": ADDRESS}'),
    )
    return Page("Make an endpoint", body, says, refused.status if refused else 422 if wrong else 200)


def _row(known: Endpoint) -> Node:
    to = at("/webhooks/{endpoint}", endpoint=known["id"])
    gets = "what fits its pattern" if known["pattern"] else "what rules send it"
    standing = mark(known["status"], STATUSES.get(known["status"], OVER))
    return row(
        h.a(href=to)[known["id"]],
        known["url"],
        gets,
        standing,
        f"{known['failures']:,} of {known['allowed_failures']:,}",
        to=to,
    )
