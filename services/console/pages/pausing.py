"""Shows what is paused at a service, and pauses its consumer, one key of it, or one kind of its jobs."""

import asyncio
from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from services.console.asking import Ask, Refused, at
from services.console.elements import WRONG, button, choice, field, identity, moment, notice, row, table

CONSUMER, KEY, JOB = "consumer", "key", "job"
MOST_ENDED = 10
NAMES = {CONSUMER: "the consumer", KEY: "key", JOB: "jobs"}


async def section(ask: Ask, service: str, refused: Mapping[str, str] | None) -> Node:
    """Make the part of a page that tells what is paused, and pauses more."""
    lasting, ended, backlog = await asyncio.gather(
        ask.get(service, "/pauses", limit=200),
        ask.get(service, "/pauses", ended=True, limit=200),
        ask.get(service, "/backlog"),
    )
    held = {(each["what"], each["name"]): each["held"] for each in backlog["pauses"]}
    return [
        h.h2["Paused"],
        table(
            ("What", "Since", "By", "Why", "Waits behind it", ""),
            (_row(ask, service, each, held) for each in lasting["items"]),
            "Nothing is paused. What somebody pauses would be here, with who did so and why.",
            f"What is paused at {service}",
        ),
        ask.may("operations.act") and _form(service, [each["kind"] for each in backlog["jobs"]], ask.form, refused),
        _ended(ended["items"], is_all=ended["next"] is None),
    ]


def _row(ask: Ask, service: str, each: Mapping[str, Any], held: Mapping[tuple[str, str], int]) -> Node:
    name = named(each)
    return row(
        name if each["what"] == CONSUMER else [f"{NAMES[each['what']]} ", identity(each["name"])],
        moment(each["paused_at"]),
        each["paused_by"],
        each["reason"],
        f"{held.get((each['what'], each['name']), 0):,}" if each["what"] == KEY else "",
        ask.may("operations.act")
        and button(
            at("/consumers/{service}/resume", service=service),
            "Resume",
            kind="main",
            fields={"pause": str(each["id"])},
            label=f"Resume {name}",
        ),
    )


def named(each: Mapping[str, Any]) -> str:
    """Name what is paused: the consumer, a key of it, or a kind of its jobs."""
    return NAMES[each["what"]] if each["what"] == CONSUMER else f"{NAMES[each['what']]} {each['name']}"


def _form(service: str, kinds: list[str], typed: Mapping[str, str], refused: Mapping[str, str] | None) -> Node:
    what = {CONSUMER: "Its consumer", KEY: "One key of it", **{f"{JOB} {kind}": f"Its {kind} jobs" for kind in kinds}}
    wrong = refused or {}
    return h.details(".panel", open=bool(wrong))[
        h.summary["Pause something"],
        [notice(said, WRONG) for name, said in wrong.items() if name not in ("name", "reason")],
        h.p["What is in hand still ends. Nothing is lost: events wait in their topics or behind their key."],
        h.form(method="post", action=at("/consumers/{service}/pause", service=service))[
            choice("what", "What", what, typed.get("what", CONSUMER)),
            field("name", "Which key", typed.get("name", ""), error=wrong.get("name"), help_text="For one key alone."),
            field("reason", "Why", typed.get("reason", ""), error=wrong.get("reason"), required=True, maxlength=500),
            h.button(".danger", type="submit")["Pause"],
        ],
    ]


def _ended(items: list[Mapping[str, Any]], *, is_all: bool) -> Node:
    if not items:
        return None
    shown = items[-MOST_ENDED:]
    of = f"{len(items):,}{'' if is_all else ' or more'}"
    return h.details(".panel")[
        h.summary[f"Paused before: {len(shown):,} of {of}"],
        h.ul[
            (
                h.li[
                    f"{named(each)}, {each['paused_by']}: {each['reason']} (",
                    moment(each["paused_at"]),
                    ", resumed ",
                    moment(each["resumed_at"]),
                    f" by {each['resumed_by']})",
                ]
                for each in reversed(shown)
            )
        ],
    ]


async def begin(ask: Ask, service: str) -> Mapping[str, str] | None:
    """Pause what a form asks for; return what was wrong with it, by field."""
    what, _, kind = ask.form.get("what", "").partition(" ")
    name = {CONSUMER: service, KEY: ask.form.get("name", ""), JOB: kind}.get(what, "")
    body = {"what": what, "name": name, "reason": ask.form.get("reason", "")}
    try:
        await ask.act("POST", service, "/pauses", body)
    except Refused as refused:
        return refused.errors or {"": str(refused)}
    return None


async def end(ask: Ask, service: str) -> Mapping[str, str] | None:
    """Let go on what a form names; return why not."""
    try:
        await ask.act("DELETE", service, at("/pauses/{pause}", pause=ask.form.get("pause", "")))
    except Refused as refused:
        return {"": str(refused)}
    return None
