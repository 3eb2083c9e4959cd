"""Shows what is agreed on about events: versions and their ends, fields, samples, and who reads what."""

import asyncio
from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Any

import htpy as h
from htpy import Node

from backbone.ids import new_id
from services.console import forms
from services.console.asking import Ask, Refused, at
from services.console.elements import (
    OVER,
    WAITS,
    WELL,
    WRONG,
    address,
    curl,
    field,
    identity,
    mark,
    notice,
    numbers,
    row,
    table,
)
from services.console.forms import NotJson
from services.console.masked import pretty
from services.console.routing import Pages
from services.console.shell import Page
from services.console.traffic import Traffic, traffic_of

PUBLISHING = "publish it"

pages = Pages()
pages.section("/contracts", "Contracts", "Events", "ledger.read")
Contract = Mapping[str, Any]


@pages.page("/contracts", "ledger.read")
async def contracts(ask: Ask) -> Page:
    """Lists every version of every event."""
    known, traffic = await asyncio.gather(ask.get("ledger", "/contracts"), traffic_of(ask))
    found = wanted(known["items"], ask.query)
    body = [
        _filters(ask, known["items"]),
        table(
            ("Event", "What happened", "Standing", "Declared by", "Seen reading"),
            (_row(each, traffic) for each in found),
            "No contract fits. Contracts are files: schemas/SERVICE/EVENT.vN.json.",
            "Contracts",
        ),
        h.p(".more")[f"{len(found):,} of {len(known['items']):,} versions of events."],
    ]
    return Page(
        "Contracts",
        body,
        ("./sliceline contracts readers", curl("reader", ask.services.address("ledger") + "/contracts")),
    )


@pages.page("/contracts/{type}", "ledger.read")
async def contract(ask: Ask) -> Page:
    """Shows one contract, and who reads a field of it."""
    return await _page(ask)


@pages.act("/contracts/{type}", "ledger.read")
async def check(ask: Ask) -> Page:
    """Holds a sample against a contract. Nothing is sent."""
    given = ask.form.get("sample", "")
    try:
        body = {"data": forms.read_json(given)}
        path = at("/contracts/{type}/check", type=ask.path["type"])
        fit = await ask.act("POST", "ledger", path, body)
    except NotJson as error:
        return await _page(ask, given, f"The sample {error}")
    except Refused as refused:
        return await _page(ask, given, refused.detail or refused.title)
    if fit["fits"]:
        return await _page(ask, given)
    return await _page(ask, given, *(f"{each['field'] or 'data'}: {each['message']}" for each in fit["misfits"]))


@pages.act("/contracts/{type}/publish", "operations.edit")
async def publish(ask: Ask) -> Page:
    """Publishes a sample as its service would, where that lets samples be published."""
    given, key = ask.form.get("sample", ""), ask.form.get("key", "")
    event_type = ask.path["type"]
    if not forms.is_typed(ask.form, PUBLISHING, event_type):
        return await _page(ask, given, f"Nothing was sent: type {event_type} to publish it.")
    try:
        body = {"type": event_type, "key": key, "data": forms.read_json(given)}
        await ask.act("POST", event_type.split(".")[1], "/samples", body, key=ask.form.get("once"))
    except NotJson as error:
        return await _page(ask, given, f"The sample {error}")
    except Refused as refused:
        return await _page(
            ask, given, *([f"{name}: {said}" for name, said in refused.errors.items()] or [str(refused)])
        )
    return await _page(ask, given, sent=key)


def wanted(known: Iterable[Contract], query: Mapping[str, str]) -> list[Contract]:
    """Return the contracts that fit: by a text in what they say, by who says, and by who reads."""
    text, service, reader = (query.get(name, "").strip().lower() for name in ("q", "service", "reader"))
    return [
        each
        for each in known
        if text in f"{each['type']} {each['description']}".lower()
        and service in ("", each["service"])
        and (not reader or reader in each["readers"])
    ]


def standing(contract: Contract) -> Node:
    """Show whether a version is published, on its way out, or no more."""
    if contract["retired"]:
        return mark(f"retired {contract['retired']}", OVER)
    if leaving := contract["leaving"]:
        return mark(f"until {leaving['sunset']}", WAITS)
    return mark("current", WELL)


def to_contract(event_type: str) -> Node:
    """Lead to a contract, by its short name."""
    return h.a(href=at("/contracts/{type}", type=event_type))[event_type.removeprefix("sliceline.")]


async def _page(ask: Ask, sample: str | None = None, *misfits: str, sent: str = "") -> Page:
    event_type, name = ask.path["type"], ask.query.get("field", "").strip()
    path = at("/contracts/{type}", type=event_type)
    told, traffic = await asyncio.gather(ask.get("ledger", path), traffic_of(ask))
    impact = await ask.get("ledger", f"{path}/readers", field=name) if name else None
    body = [
        h.p[told["description"]],
        _leaving(told),
        _facts(told, traffic),
        h.h2["Who reads a field?"],
        _impact(path, impact, name),
        _fields(told, name),
        h.h2["Samples"],
        [_folded(each["name"], pretty(each["data"]), is_open=not at_) for at_, each in enumerate(told["samples"])],
        _folded("The whole JSON Schema", pretty(told["json_schema"])),
        h.h2("#check")["Does a sample fit?"],
        _check(ask, path, told, sample, misfits, sent),
    ]
    short, ledger = event_type.removeprefix("sliceline."), ask.services.address("ledger")
    says = (
        f"./sliceline contracts readers {short}",
        f"./sliceline contracts impact {short} {quote(name) if name else 'FIELD'}",
        curl("reader", ledger + path),
        curl("reader", f"{ledger}{path}/check", {"data": {}}),
    )
    return Page(short, body, says, status=422 if misfits else 200)


def _filters(ask: Ask, known: Iterable[Contract]) -> Node:
    services = sorted({each["service"] for each in known})
    readers = sorted({name for each in known for name in each["readers"]})
    return h.form(".filters", method="get", action="/contracts", aria_label="Filters")[
        field("q", "Says", ask.query.get("q", ""), placeholder="refund"),
        _choice("service", "Published by", services, ask.query.get("service", "")),
        _choice("reader", "Read by", readers, ask.query.get("reader", "")),
        h.button(".main", type="submit")["Show"],
        h.a(href="/contracts")["All"],
    ]


def _choice(name: str, label: str, options: Iterable[str], chosen: str) -> Node:
    return h.div(".field")[
        h.label(for_=name)[label],
        h.select(id=name, name=name)[
            h.option(value="")["anybody"], (h.option(value=each, selected=each == chosen)[each] for each in options)
        ],
    ]


def _row(contract: Contract, traffic: Traffic) -> Node:
    return row(
        to_contract(contract["type"]),
        contract["description"],
        standing(contract),
        _services(contract["readers"]),
        _services(traffic.seen_reading(contract["type"])),
        to=at("/contracts/{type}", type=contract["type"]),
    )


def _services(names: Iterable[str]) -> Node:
    return ", ".join(names) or h.span(".soft")["nobody here"]


def _leaving(told: Contract) -> Node:
    if told["retired"]:
        return notice(f"Published no more since {told['retired']}. Topics and archive still hold such events.", OVER)
    if leaving := told["leaving"]:
        return notice(
            [
                f"On its way out: published until {leaving['sunset']}. Read ",
                to_contract(leaving["use"]),
                f" instead. {leaving['how']}",
            ],
            WAITS,
        )
    return None


def _facts(told: Contract, traffic: Traffic) -> Node:
    lately = h.a(href=address("/events", {"type": told["type"]}))[f"{traffic.count_of(told['type']):,} events"]
    return [
        numbers(
            ("In the last minute", lately),
            ("Standing", standing(told)),
            ("Published by", h.a(href=address("/contracts", {"service": told["service"]}))[told["service"]]),
            ("Versions", [_version(each, told) for each in told["versions"]]),
            ("Kind", told["kind"] or "not said"),
            ("Owner", told["owner"] or "nobody is named"),
        ),
        h.p[identity(told["type"])],
        table(
            ("Reader", "Declares what it takes", "Seen reading"),
            (_reader(name, told, traffic) for name in sorted({*told["readers"], *traffic.seen_reading(told["type"])})),
            "Nobody here reads it.",
            "Readers",
        ),
    ]


def _version(event_type: str, told: Contract) -> Node:
    name = event_type.rpartition(".")[2]
    if event_type == told["type"]:
        return [h.span(aria_current="page")[name], " "]
    return [h.a(href=at("/contracts/{type}", type=event_type))[name], " "]


def _reader(name: str, told: Contract, traffic: Traffic) -> Node:
    reading = traffic.reading.get(name)
    count = reading.read.get(told["type"], 0) if reading else 0
    declares = mark("declared", WELL) if name in told["readers"] else mark("takes whatever comes", OVER)
    to = at("/consumers/{service}", service=name)
    return row(h.a(href=to)[name], declares, f"{count:,} so far" if count else "none so far")


def _impact(path: str, impact: Mapping[str, Any] | None, name: str) -> Node:
    form = h.form(".filters", method="get", action=path, aria_label="Who reads a field")[
        field("field", "Field", name, placeholder="total.amount", required=True),
        h.button(".main", type="submit")["Who reads it?"],
    ]
    return [form, impact and _answer(impact)]


def _answer(impact: Mapping[str, Any]) -> Node:
    name, readers = impact["field"], impact["readers"]
    if not impact["is_known"]:
        return notice(f"The contract has no field {name}: the table names those it has.", WRONG)
    if not readers:
        return notice(
            f"Nobody here declares that it reads {name}. Webhooks and rules may: their patterns say so.", WELL
        )
    return notice(f"{', '.join(readers)} would notice a change of {name}.", WAITS)


def _fields(told: Contract, name: str) -> Node:
    return table(
        ("Field", "Holds", "Meaning", "May be missing", "Read by"),
        (_field(each, told, chosen=each["name"] == name) for each in told["fields"]),
        "Its data has no fields.",
        "Fields",
    )


def _field(each: Mapping[str, Any], told: Contract, *, chosen: bool) -> Node:
    to = address(at("/contracts/{type}", type=told["type"]), {"field": each["name"]})
    missing = "" if each["required"] else each["optional"] or "yes"
    says = each["says"] + (f", in {each['unit']}" if each["unit"] else "")
    sealed = [" ", mark("sealed", OVER)] if each["is_sealed"] else None
    cells = (h.a(href=to)[h.code[each["name"]]], says, [each["meaning"], sealed], missing, ", ".join(each["readers"]))
    return row(*cells, kind="here" if chosen else "")


def _folded(name: str, text: str, *, is_open: bool = False) -> Node:
    return h.details(open=is_open)[h.summary[name], h.pre(tabindex="0")[h.code[text]]]


def _check(ask: Ask, path: str, told: Contract, sample: str | None, misfits: tuple[str, ...], sent: str) -> Node:
    golden = pretty(told["samples"][0]["data"]) if told["samples"] else "{}"
    result = None
    if misfits:
        result = notice(["It is not sent.", h.ul[(h.li[each] for each in misfits)]], WRONG)
    elif sent:
        events = address("/events", {"key": sent})
        result = notice(["It was published. ", h.a(href=events)["See it, and what came of it"]], WELL)
    elif sample is not None:
        result = notice("It fits. The service would publish this.", WELL)
    return [
        result,
        h.form(method="post", action=f"{path}#check")[
            forms.area("sample", "Data", golden if sample is None else sample, rows="12"),
            h.p(".soft")["To check it sends nothing."],
            h.button(".main", type="submit")["Check it"],
            _publishing(ask, path, told),
        ],
    ]


def _publishing(ask: Ask, path: str, told: Contract) -> Node:
    """Offer to publish the sample as well, to those who may."""
    if not ask.may("operations.edit"):
        return None
    return h.details(".panel")[
        h.summary["Publish it"],
        h.p["Whoever listens acts on it as on any event. It can be done where SLICELINE_PUBLISH_SAMPLES is on."],
        field("key", "Key", ask.form.get("key", "") or f"sample-{new_id()}"),
        h.input(type="hidden", name="once", value=new_id()),
        forms.typed(PUBLISHING, told["type"], required=False),
        h.button(".danger", type="submit", formaction=f"{path}/publish#check")["Publish it"],
    ]
