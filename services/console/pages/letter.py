"""Shows one dead letter as one page: why it fails and where, what waits behind it, what was tried, and what to do."""

from collections.abc import Iterable, Mapping
from typing import Any

import htpy as h
from htpy import Node

from backbone.consuming.redriven import WORDS
from backbone.consuming.reproduced import text_of
from backbone.values.marking import marked
from services.console.asking import Ask, at
from services.console.elements import WAITS, WELL, WRONG, field, identity, live, mark, moment, notice
from services.console.everywhere import number_in, service_of
from services.console.letter_forms import discarding, rehearsing
from services.console.masked import masked
from services.console.pages.dead_letters import name_of, why
from services.console.pages.tailing import masking_note
from services.console.routing import File, Pages
from services.console.shell import Page

KINDS = {"applied": WELL, "already-applied": WELL, "ignored": WELL, "failed": WRONG, "held": WAITS, "put-off": WAITS}

pages = Pages()


@pages.file("/dead-letters/{service}/{letter}/test", "operations.read")
async def test(ask: Ask) -> File:
    """Gives a test in which the letter fails as it did, personal data replaced."""
    service, number = service_of(ask), number_in(ask, "letter")
    path = f"/dead-letters/{number}"
    before = await _archived_before(ask, await ask.get(service, path))
    asked = f"{path}/reproduction"
    if before is None:
        material = await ask.get(service, asked)
    else:
        material = await ask.act("POST", service, asked, {"before": before})
    return File(f"test_{service}_letter_{number}.py", text_of(material, is_archived=before is not None))


async def _archived_before(ask: Ask, letter: Mapping[str, Any]) -> list[Any] | None:
    """Return what the ledger has before a letter on its key; None where it does not know, or may not be asked."""
    source = next((each["value"] for each in letter["headers"] if each["name"] == "ce_source"), None)
    if not source or not letter["event"] or not ask.may("ledger.read") or "ledger" not in ask.services.names:
        return None
    found = await ask.found("ledger", "/records/before", event=letter["event"], source=source)
    return None if found is None else list(found["events"])


@pages.page("/dead-letters/{service}/{letter}", "operations.read")
async def letter_page(ask: Ask) -> Page:
    """Shows one letter."""
    return await shown(ask, service_of(ask), number_in(ask, "letter"))


@pages.part("/dead-letters/{service}/{letter}/facts", "operations.read")
async def facts(ask: Ask) -> Node:
    """Keeps what is known of a letter fresh: it may be handled meanwhile."""
    service, number = service_of(ask), number_in(ask, "letter")
    found = await ask.found(service, f"/dead-letters/{number}")
    return _facts(service, masked(ask, found)) if found else _gone(service, number)


async def shown(ask: Ask, service: str, number: int, refused: str | None = None) -> Page:
    """Make the page of a letter; `refused`: why what was asked for was not done."""
    title = f"Letter {number} of {service}"
    letter = await ask.found(service, f"/dead-letters/{number}")
    if letter is None:
        return Page(title, [refused and notice(refused, WRONG), _gone(service, number)], status=404)
    letter = masked(ask, letter)
    path = at("/dead-letters/{service}/{letter}", service=service, letter=str(number))
    body = [
        masking_note(ask),
        refused and notice(refused, WRONG),
        h.p(".soft")[
            h.a(href="/dead-letters")["All services"],
            " · ",
            h.a(href=at("/dead-letters/{service}", service=service))[service],
        ],
        live(f"/live{path}/facts", _facts(service, letter)),
        ask.may("operations.act") and _acts(service, letter, ask.form),
        h.p[
            h.a(".act", href=f"{path}/test", download=True)["Reproduce as a test"],
            " ",
            ask.may("operations.edit") and h.a(".act", href=f"{path}/edit")["Edit its data"],
        ],
    ]
    says = tuple(
        f"./sliceline dead-letters {each}"
        for each in (
            f"show {service} {number}",
            f"redrive {service} {number}",
            f'discard {service} {number} --reason "…"',
            f"reproduce {service} {number}",
        )
    )
    return Page(title, body, says, status=422 if refused else 200)


def _gone(service: str, number: int) -> Node:
    return [
        notice(f"Letter {number} is not parked at {service}: it was handled, or discarded.", WELL),
        h.p[
            "What became of it: ",
            h.a(href=at("/redrives/{service}", service=service))["redrives"],
            " or ",
            h.a(href=at("/dead-letters/{service}/discarded", service=service))["discarded letters"],
            ".",
        ],
    ]


def _acts(service: str, letter: Mapping[str, Any], typed: Mapping[str, str]) -> Node:
    number = str(letter["id"])
    first = next((each for each in letter["before"] if each["state"] == "parked"), None)
    again = (
        rehearsing(service, {"key": letter["key"]}, f"all of {letter['key']}, of which this is not the first,")
        if first
        else rehearsing(service, {"letter": number}, "this letter")
    )
    return h.div(".columns")[again, discarding(service, {"letter": number}, number, "this event", typed)]


def _facts(service: str, letter: Mapping[str, Any]) -> Node:
    first = next((each for each in letter["before"] if each["state"] == "parked"), None)
    return [
        notice(why(letter["error"], ""), WRONG)
        if letter["error"]
        else notice(["It has not failed: it waits behind ", _link(service, first), " on its key."], WAITS),
        h.div(".columns")[
            h.section(".panel")[h.h2["The event"], _of_event(letter)],
            h.section(".panel")[h.h2["Its parking"], _of_parking(service, letter)],
        ],
        h.section(".panel")[h.h2["Payload"], _payload(letter)],
        _queue(service, letter),
        _past(service, letter),
        _details("Where in the code", (_frame(each) for each in letter["frames"]), is_open=not letter["failing"]),
        _details("Headers", (h.li[h.code[f"{each['name']}: {each['value']}"]] for each in letter["headers"])),
    ]


def _of_event(letter: Mapping[str, Any]) -> Node:
    contract = letter["contract"]
    return _dl(
        ("Type", letter["type"] and h.a(href=at("/contracts/{type}", type=letter["type"]))[name_of(letter["type"])]),
        (
            "Contract",
            contract and mark(*(("known", WELL) if contract["known"] else ("unknown here", WRONG))),
        ),
        ("Key", _key(letter)),
        ("Event", letter["event"] and identity(letter["event"], at("/events/{event}", event=letter["event"]))),
        ("Correlation", letter["correlation"] and _searched(letter["correlation"])),
        ("Trace", letter["trace"] and _searched(letter["trace"])),
        ("Sequence", letter["sequence"]),
    )


def _of_parking(service: str, letter: Mapping[str, Any]) -> Node:
    reads = letter["reads_now"] == "It can be read."
    return _dl(
        ("Service", h.a(href=at("/consumers/{service}", service=service))[service]),
        ("Place", h.code[f"{letter['topic']} {letter['partition']}:{letter['offset']}"]),
        ("Parked", moment(letter["parked_at"])),
        ("Failed last", moment(letter["failed_at"])),
        ("Tries", str(letter["attempts"])),
        ("By now", mark("can be read", WELL) if reads else mark("cannot be read", WRONG)),
        ("Cause", letter["group"] and _of_group(service, letter["group"])),
    )


def _of_group(service: str, group: str) -> Node:
    return h.a(href=at("/dead-letters/{service}?group={group}", service=service, group=group))["others like it"]


def _key(letter: Mapping[str, Any]) -> Node:
    return identity(letter["key"]) if letter.get("is_key_masked") else _searched(letter["key"])


def _searched(text: str) -> Node:
    return identity(text, at("/search?q={text}", text=text))


def _payload(letter: Mapping[str, Any]) -> Node:
    failing = letter["failing"]
    return [
        failing
        and h.ul(".failing")[(h.li[h.strong[each["path"] or "data"], ": ", each["message"]] for each in failing)],
        h.pre(".payload", tabindex="0")[lines(letter["payload"], [each["path"] for each in failing])],
    ]


def lines(payload: Any, failing: Iterable[str]) -> Node:
    """Write data line by line; what fails is marked, and said to be by more than colour."""
    return [
        h.span(class_="fails" if fails else None)[
            h.span(".sign", aria_hidden=None if fails else "true")["! " if fails else "  "], text, "\n"
        ]
        for text, fails in marked(payload, set(failing))
    ]


def _queue(service: str, letter: Mapping[str, Any]) -> Node:
    """Show what is on the same key, in its order: before it, and held behind it."""
    behind, held = letter["behind"], letter["held"]
    if not behind and not letter["before"]:
        return None
    return h.section(".panel")[
        h.h2[f"On its key, in order: {held:,} held behind it"],
        h.ol(".queue")[
            (h.li[_link(service, each), " ", mark(each["state"])] for each in reversed(letter["before"])),
            h.li(".here")[h.strong[f"{letter['id']} {name_of(letter['type'])}"], " this one"],
            (h.li[_link(service, each)] for each in behind),
        ],
        held > len(behind) and h.p(".more")[f"The first {len(behind):,} of {held:,} behind it."],
    ]


def _link(service: str, each: Mapping[str, Any] | None) -> Node:
    if each is None:
        return "another"
    if each.get("state", "parked") != "parked":
        return f"{each['id']} {name_of(each['type'])}"
    to = at("/dead-letters/{service}/{letter}", service=service, letter=str(each["id"]))
    return h.a(href=to)[f"{each['id']} {name_of(each['type'])}"]


def _past(service: str, letter: Mapping[str, Any]) -> Node:
    """Show what was done to it so far."""
    told = [
        *(_try(service, each) for each in letter["redrives"]),
        *(h.li[moment(each["at"]), f" {each['actor']}: {each['act']}"] for each in letter["acts"]),
        *(_edit(each) for each in letter["edits"]),
    ]
    return told and h.section(".panel")[h.h2["What was done"], h.ul[told]]


def _try(service: str, each: Mapping[str, Any]) -> Node:
    plan = at("/redrives/{service}/{plan}", service=service, plan=str(each["redrive"]))
    what = "dry run" if each["dry_run"] else "redrive"
    return h.li[
        moment(each["at"]),
        f" {each['began_by']}: ",
        h.a(href=plan)[f"{what} {each['redrive']}"],
        " ",
        mark(WORDS[each["outcome"]], KINDS[each["outcome"]]),
        each["error"] and f" {each['error']}",
    ]


def _edit(each: Mapping[str, Any]) -> Node:
    return h.li[
        moment(each["edited_at"]),
        f" {each['edited_by']} edited it: {each['reason']}",
        h.pre(tabindex="0")[each["diff"]],
    ]


def _frame(each: Mapping[str, Any]) -> Node:
    return h.li[h.code[f"{each['file']}:{each['line']} {each['function']}"], h.br, h.code(".soft")[each["code"]]]


def _details(title: str, items: Iterable[Node], *, is_open: bool = False) -> Node:
    found = list(items)
    return found and h.details(".panel", open=is_open)[h.summary[f"{title} ({len(found)})"], h.ul[found]]


def _dl(*pairs: tuple[str, Node]) -> Node:
    return h.dl(".facts")[(h.div[h.dt[name], h.dd[value]] for name, value in pairs if value not in (None, "", False))]


def edit_form(service: str, number: int, data: str, typed: Mapping[str, str], errors: Mapping[str, str]) -> Node:
    """Make the form that puts a copy with other data in a letter's place."""
    path = at("/dead-letters/{service}/{letter}", service=service, letter=str(number))
    wrong = {name: said for name, said in errors.items() if name != "reason"}
    return h.form(method="post", action=f"{path}/edit")[
        h.p[
            "A copy takes the letter's place; the original is kept, and who did so and why. It has to fit the contract."
        ],
        wrong and h.ul(".failing")[(h.li[name and [h.strong[name], ": "], said] for name, said in wrong.items())],
        h.div(".field")[h.label(for_="data")["Data, as JSON"], h.textarea("#data", name="data", rows="16")[data]],
        field("reason", "Why", typed.get("reason", ""), error=errors.get("reason"), required=True, maxlength="500"),
        h.button(".main", type="submit")["Put it in its place"],
        " ",
        h.a(".act", href=path)["Leave it"],
    ]
