"""./sliceline replay: feed archived events to one service again."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import console, fail
from cli.moments import moment_of
from cli.rates import rate_of
from cli.running import known_service

if TYPE_CHECKING:
    from collections import Counter

    from backbone.consuming.comparing import Compared
    from cli.feeding import Ends, Wanted


def replay(
    to: Annotated[str, typer.Option("--to", help="The one service that is fed; no other hears of it.")],
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only what happened then or later, in UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only what happened before.")] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--types", help="Only these: order-completed, or sliceline.orders.order-completed.v1."),
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Events a second at most.")] = None,
    apply: Annotated[
        bool, typer.Option("--apply", "--yes", help="Do it. Without it only tell what would apply.")
    ] = False,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Instead: rebuild its read model beside the live one and compare."),
    ] = False,
    swap: Annotated[
        bool, typer.Option("--swap", help="With --shadow: have the rebuilt rows take their place.")
    ] = False,
) -> None:
    """Feed archived events to one service again, in order, for those that it missed.

    What it has applied already is recognised, so the command can be repeated, and goes on where it was interrupted.
    """
    from cli.feeding import Wanted, ends

    known_service(to)
    rate = rate_of(rate)
    if shadow or swap:
        _check_alone(shadow, since, until, types, rate, apply)
        _rebuild(to, swap=swap)
        return
    times = [moment_of(name, at) if at else None for name, at in (("--since", since), ("--until", until))]
    with ends(to) as both:
        readable = both.readable()
        if not readable["types"] and not readable["topics"]:
            fail(f"{to} reads no events.", code=2)
        chosen = _chosen(to, readable, types or [])
        wanted = Wanted(to, *chosen, *times)
        outcomes = fed(both, wanted, apply=apply, rate=rate)
    _say(to, outcomes, readable["remembers_since"], applied=apply)


def _check_alone(shadow: bool, *others: object) -> None:
    if not shadow or any(others):
        fail(
            "--swap needs --shadow, and --shadow takes all that is archived: no --since, --types, --rate, --apply.",
            code=2,
        )


def _rebuild(to: str, *, swap: bool) -> None:
    """Rebuild the read model beside the live one; say in what they differ, and swap them if told to."""
    from cli.databases import url_of
    from cli.feeding import ends, progress
    from cli.running import running_shop
    from deployment.roles import owner_of
    from deployment.shadowing import NoReadModel, NotLevel, Rebuilding, rebuilt, service_of

    try:
        service = service_of(to)
        with ends(to) as both:
            rebuilding = Rebuilding(service, url_of(running_shop(), to, owner_of(to)), both.ledger)
            with progress(f"Rebuilding {to}", rebuilding.count()) as tell:
                rebuilding.tell = tell
                compared = asyncio.run(rebuilt(rebuilding, swap=swap))
    except (NoReadModel, NotLevel) as refused:
        fail(str(refused))
    _say_compared(compared)
    _say_parked(rebuilding.parked, rebuilding.failures)
    if swap:
        console.print("The rebuilt rows are live now.")
    elif any(each.different for each in compared):
        console.print("Nothing was changed. With --swap the rebuilt rows take the place of the live ones.")


def _say_compared(compared: "list[Compared]") -> None:
    for each in compared:
        console.print(
            f"{each.table}: {each.live:,} rows live, {each.shadow:,} rebuilt, {each.different:,} of them different.",
            highlight=False,
        )
        for row in each.first:
            console.print(
                f"  live     {row.live}\n  rebuilt  {row.shadow}", highlight=False, markup=False, soft_wrap=True
            )
        if each.different > len(each.first):
            console.print(f"  … and {each.different - len(each.first):,} more", highlight=False)


def _say_parked(parked: int, kinds: "Counter[str]") -> None:
    """Tell how many events could not be handled, one line for each kind of failure."""
    if parked:
        console.print(f"{parked:,} events could not be handled, or wait behind one that could not.", highlight=False)
    for kind, count in kinds.most_common():
        console.print(f"  {count:,} of {kind}", highlight=False, markup=False, soft_wrap=True)


def fed(both: "Ends", wanted: "Wanted", *, apply: bool, rate: float | None = None) -> "Counter[str]":
    """Feed a service, with a bar; when stopped, say how to go on."""
    from cli.feeding import feed, progress

    total = both.count(wanted)
    try:
        with progress(f"{'Feeding' if apply else 'Asking'} {both.name}", total) as tell:
            return feed(both, wanted, apply=apply, rate=rate, tell=tell)
    except KeyboardInterrupt:
        fail("Stopped. What was applied stays; the same command goes on.", code=130)


def _chosen(to: str, readable: dict[str, Any], named: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which types, and which whole topics, are fed; end the command for a type that the service never reads."""
    types, topics = readable["types"], tuple(readable["topics"])
    if not named:
        return tuple(types), topics
    found = {name: [each for each in types if name in (each, _short(each))] for name in named}
    unread = [name for name, each in found.items() if not each and not (topics and name.startswith("sliceline."))]
    if unread:
        known = ", ".join([*sorted(map(_short, types)), *topics])
        hint = " Say several with spaces between them." if any("," in name for name in unread) else ""
        fail(f"{to} does not read {', '.join(unread)}. It reads {known}.{hint}", code=2)
    return tuple(each for name, full in found.items() for each in full or [name]), ()


def _short(event_type: str) -> str:
    """Name a type without the words that all have: `order-completed` for sliceline.orders.order-completed.v1."""
    return event_type.split(".")[2]


def _say(to: str, outcomes: "Counter[str]", remembers_since: str | None, *, applied: bool) -> None:
    would = "were" if applied else "would be"
    lines = [
        f"{outcomes['applied']:,} events {would} applied by {to}; {outcomes['known']:,} it had applied already.",
        *_more(to, outcomes, remembers_since),
    ]
    if not applied and outcomes["applied"]:
        lines.append("Nothing was changed. The same command with --apply does it.")
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _more(to: str, outcomes: "Counter[str]", remembers_since: str | None) -> list[str]:
    """Tell of the events that were left out, if any."""
    said = []
    if outcomes["forgotten"]:
        said.append(
            f"{outcomes['forgotten']:,} are left out: {to}'s inbox remembers since {remembers_since}, and whether it "
            "applied older ones nobody knows. A read model is rebuilt with: ./sliceline replay --shadow --to SERVICE"
        )
    if outcomes["parked"]:
        said.append(f"{outcomes['parked']:,} cannot be handled, or wait for one that cannot. See: ./sliceline status")
    if outcomes["unread"]:
        said.append(f"{outcomes['unread']:,} are none that it reads there.")
    return said
