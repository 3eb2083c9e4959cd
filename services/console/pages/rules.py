"""Shows the router's rules, has them made, changed and taken away, and tries patterns on what was archived."""

import asyncio
from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

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
from services.console.pages.rule_form import content, form
from services.console.routing import Pages
from services.console.shell import Page

pages = Pages()
pages.section("/rules", "Rules", "Events", "rules.read")
Rule = Mapping[str, Any]
PATTERN = '{"source": ["/sliceline/orders"], "type": [{"prefix": "sliceline.orders.order-placed."}]}'
TARGETS = '[{"webhook": "accounting"}]'


@pages.page("/rules", "rules.read")
async def rules(ask: Ask) -> Page:
    """Lists the rules."""
    found = await ask.get("router", "/rules", limit=50, after=ask.query.get("after"))
    body = [
        h.p[
            ask.may("rules.write") and h.a(".act.main", href="/rules/new")["Make a rule"],
            " ",
            ask.may("ledger.read") and h.a(".act", href="/rules/try")["Try a pattern"],
        ],
        table(
            ("Rule", "Looks at", "Sends to", "Standing", "Changed"),
            map(_row, found["items"]),
            [
                "There is no rule. One sends events that match a pattern to a webhook or another bus: ",
                h.code["docs/rules.md"],
            ],
            "Rules",
        ),
        found["items"] and more(len(found["items"]), None, "/rules", ask.query, found["next"]),
    ]
    return Page("Rules", body, (_curl(ask, "reader", "/rules"),))


@pages.page("/rules/new", "rules.write")
async def new(ask: Ask) -> Page:
    """Shows the form of a rule that is not there yet."""
    return _making(
        ask, {"pattern": ask.query.get("pattern", PATTERN), "targets": TARGETS, "bus": "default", "enabled": "on"}
    )


@pages.act("/rules/new", "rules.write")
async def make(ask: Ask) -> "str | Page":
    """Makes a rule."""
    try:
        made = await ask.act("POST", "router", "/rules", content(ask.form), key=ask.form.get("once"))
    except NotJson as error:
        return _making(ask, ask.form, str(error))
    except Refused as refused:
        return _making(ask, ask.form, refused.detail or refused.title, refused)
    return at("/rules/{rule}", rule=made["id"])


@pages.page("/rules/{rule}", "rules.read")
async def rule(ask: Ask) -> Page:
    """Shows a rule, what became of it, and what it said before."""
    return await _page(ask)


@pages.act("/rules/{rule}", "rules.write")
async def change(ask: Ask) -> "str | Page":
    """Says anew what a rule says."""
    path = at("/rules/{rule}", rule=ask.path["rule"])
    try:
        wanted = {**content(ask.form), "version": int(ask.form.get("version", "0"))}
        await ask.act("PUT", "router", path, wanted, key=ask.form.get("once"))
    except (NotJson, ValueError) as error:
        return await _page(ask, ask.form, str(error))
    except Refused as refused:
        return await _page(ask, ask.form, told(refused), refused)
    return path


@pages.act("/rules/{rule}/enable", "rules.write")
async def enable(ask: Ask) -> "str | Page":
    """Has a rule work."""
    return await _do(ask, "POST", "/enable")


@pages.act("/rules/{rule}/disable", "rules.write")
async def disable(ask: Ask) -> "str | Page":
    """Has a rule rest."""
    return await _do(ask, "POST", "/disable")


@pages.act("/rules/{rule}/delete", "rules.write")
async def delete(ask: Ask) -> "str | Page":
    """Takes a rule away, once its name was typed."""
    known = await ask.get("router", at("/rules/{rule}", rule=ask.path["rule"]))
    if not is_typed(ask.form, "delete it", known["name"]):
        return await _page(ask, None, f"Nothing was deleted: what was typed is not {known['name']}.")
    return await _do(ask, "DELETE", "", to="/rules")


def targets_in_words(rule: Rule) -> str:
    """Say where a rule sends what matches."""
    return ", ".join(
        f"webhook {each['webhook']}" if each["webhook"] else f"bus {each['bus']}" for each in rule["targets"]
    )


async def _do(ask: Ask, method: str, what: str, to: str | None = None) -> "str | Page":
    path = at("/rules/{rule}", rule=ask.path["rule"])
    try:
        await ask.act(method, "router", path + what)
    except Refused as refused:
        return await _page(ask, None, told(refused), refused)
    return to or path


def _making(ask: Ask, said: Mapping[str, str], wrong: str = "", refused: Refused | None = None) -> Page:
    body = [
        wrong and notice(wrong, WRONG),
        form("/rules/new", said, "Make it", refused),
        h.p(".soft")["It looks at events from the next moment on. Try the pattern first: it sends nothing."],
    ]
    says = (_curl(ask, "operator", "/rules", '{"name": NAME, "pattern": PATTERN, "targets": TARGETS}'),)
    return Page("Make a rule", body, says, refused.status if refused else 422 if wrong else 200)


async def _page(
    ask: Ask, said: Mapping[str, str] | None = None, wrong: str = "", refused: Refused | None = None
) -> Page:
    path = at("/rules/{rule}", rule=ask.path["rule"])
    known, versions, troubles = await asyncio.gather(
        ask.get("router", path), ask.get("router", f"{path}/versions", limit=200), ask.get("router", f"{path}/troubles")
    )
    body = [
        wrong and notice(wrong, WRONG),
        numbers(
            ("Standing", _standing(known)),
            ("Looks at", f"bus {known['bus']}"),
            ("Sends to", targets_in_words(known)),
            ("Version", str(known["version"])),
            ("Changed", [moment(known["changed_at"]), f" by {known['changed_by']}"]),
        ),
        h.p[identity(known["id"]), " ", _try(known)],
        h.pre(tabindex="0")[h.code[pretty(known["pattern"])]],
        _troubles(troubles["items"]),
        ask.may("rules.write") and _changing(path, known, said, refused),
        h.h2["Its versions"],
        _versions(versions),
    ]
    says = (
        _curl(ask, "reader", path),
        _curl(ask, "reader", f"{path}/versions"),
        _curl(ask, "operator", f"{path}/disable", method="POST"),
    )
    return Page(known["name"], body, says, refused.status if refused else 422 if wrong else 200)


def _changing(path: str, known: Rule, said: Mapping[str, str] | None, refused: Refused | None) -> Node:
    stands = {
        "name": known["name"],
        "bus": known["bus"],
        "pattern": pretty(known["pattern"]),
        "targets": pretty(
            [{name: value for name, value in each.items() if value is not None} for each in known["targets"]]
        ),
        **({"means_all": "on"} if known["means_all"] else {}),
        **({"enabled": "on"} if known["enabled"] else {}),
    }
    what, text = ("disable", "Have it rest") if known["enabled"] else ("enable", "Have it work")
    return [
        h.p[button(f"{path}/{what}", text)],
        h.details(open=said is not None)[
            h.summary["Change it"], form(path, said or stands, "Change it", refused, str(known["version"]))
        ],
        h.details[
            h.summary["Delete it"],
            h.p[f"From then on nothing that matches goes to {targets_in_words(known)}. Its versions are kept."],
            h.form(method="post", action=f"{path}/delete")[
                typed("delete it", known["name"]), h.button(".danger", type="submit")["Delete the rule"]
            ],
        ],
    ]


def _row(known: Rule) -> Node:
    to = at("/rules/{rule}", rule=known["id"])
    changed = [moment(known["changed_at"]), h.small[f" by {known['changed_by']}"]]
    return row(
        h.a(href=to)[known["name"]], f"bus {known['bus']}", targets_in_words(known), _standing(known), changed, to=to
    )


def _standing(known: Rule) -> Node:
    return mark("works", WELL) if known["enabled"] else mark("rests", OVER)


def _try(known: Rule) -> Node:
    return h.a(".act", href=address("/rules/try", {"pattern": pretty(known["pattern"])}))["Try it on the archive"]


def _troubles(items: list[Mapping[str, Any]]) -> Node:
    if not items:
        return h.p(".soft")["It was never kept from doing what it says."]
    rows = (
        row(
            mark(each["kind"], WAITS),
            f"{each['times']:,}",
            identity(each["event"], at("/events/{event}", event=each["event"])),
            each["detail"],
            moment(each["last_at"]),
        )
        for each in items
    )
    return table(("What", "Times", "Last event", "Detail", "When"), rows, "", "What it could not do")


def _version(each: Mapping[str, Any]) -> Node:
    who = [moment(each["changed_at"]), f" by {each['changed_by']}"]
    content = h.details[h.summary["What it said"], h.pre(tabindex="0")[h.code[pretty(each["content"])]]]
    return row(str(each["version"]), each["change"], who, content)


def _versions(found: Mapping[str, Any]) -> Node:
    rows = map(_version, found["items"])
    return [
        table(("Version", "Change", "When", "From then on"), rows, "", "Versions"),
        found["next"] and h.p(".more")[f"The first {len(found['items'])}; the API lists the rest."],
    ]


def told(refused: Refused) -> str:
    """Say what was refused, field by field where it says so."""
    return (
        "; ".join(f"{field} {message}" for field, message in refused.errors.items()) or refused.detail or refused.title
    )


def _curl(ask: Ask, role: str, path: str, body: str | None = None, *, method: str = "") -> str:
    return curl(role, ask.services.address("router") + path, body, method=method)
