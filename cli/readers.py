"""./sliceline contracts readers and retire: who still reads a version of an event, and its last step."""

import asyncio
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cli.answers import everything
from cli.console import console, fail
from cli.running import Shop, find, has_kafka, kafka_of
from services import CATALOGUE

if TYPE_CHECKING:
    from deployment.asking import Asking
    from deployment.reading import Seen
    from deployment.released import Form

PATIENCE = 5.0


def show_readers(word: str | None = None, *, at: Sequence[str] = ()) -> None:
    """Show who reads each type: who declares it, and who is seen to."""
    from rich.table import Table

    from backbone.events.contracts import owners, schemas_of
    from deployment.reading import declared

    types = _named(word) if word else [each for owner in owners() for each in schemas_of(owner)]
    seen = look(at)
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for title in ("event", "", "declared", "seen, with how many since the start of its process"):
        table.add_column(title, overflow="fold")
    for each in types:
        table.add_row(
            each.removeprefix("sliceline."), _state(each), ", ".join(declared(each)), _seen_reading(seen, each)
        )
    console.print(table)
    for line in _about_looking(seen, types):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _seen_reading(seen: "Seen | None", event_type: str) -> str:
    if seen is None:
        return ""
    consumers = [f"{name} {count}" for name, count in sorted(seen.readers_of(event_type).items())]
    return ", ".join([*consumers, *(each.name for each in seen.asking_for(event_type))])


def retire(word: str, *, at: Sequence[str] = ()) -> None:
    """Write into a type's schema, and to its released forms, that it is retired, unless something is against it."""
    from backbone.events import contracts
    from backbone.events.envelope import parse_type
    from deployment import released
    from deployment.reading import why_not

    event_type, *more = _named(word)
    if more:
        fail(f"Say which version: {_short([event_type, *more])}.", code=2)
    today = datetime.now(UTC).date()
    forms = _released()
    if not _is_half_done(event_type, forms) and (against := list(why_not(event_type, look(at), today))):
        fail(f"{event_type} is not retired.\n" + "\n".join(f"- {said}" for said in against))
    # The schema comes last: what says that a version is retired may not be there before the rest is done.
    released.write([replace(form, retired=form.retired or form.type == event_type) for form in forms])
    file = contracts.SCHEMAS / contracts.dataschema(event_type).partition("/schemas/")[2]
    _write_retired(file, contracts.retired(event_type) or today.isoformat())
    owner = parse_type(event_type).service
    console.print(
        f"{event_type} is retired: its schema says so, and stays, because topics and archive still hold such events.\n"
        f"What is left: take it out of services/{owner} (its class, `PUBLISHES`, and where it is published), then\n"
        "./sliceline contracts, which names what is forgotten. No service starts that reads or publishes it.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _released() -> "list[Form]":
    from deployment import released

    try:
        return released.read()
    except released.BrokenLock as error:
        fail(str(error))


def _is_half_done(event_type: str, forms: "Iterable[Form]") -> bool:
    """Tell whether a type's schema says that it is retired and its released forms do not: all was looked at then."""
    from backbone.events import contracts

    of_type = [form for form in forms if form.type == event_type]
    return bool(contracts.retired(event_type) and of_type) and not any(form.retired for form in of_type)


def look(at: Sequence[str]) -> "Seen | None":
    """Ask the services of the running shop, those at further addresses, and Kafka; None without any of them."""
    from deployment.asking import LISTS
    from deployment.reading import Seen, counted, united

    shop = find()
    addresses = {row.name: row.address for row in shop.rows.values() if row.name in CATALOGUE} if shop else {}
    addresses |= {each: each for each in at}
    if not addresses:
        return None
    with ThreadPoolExecutor(len(addresses)) as pool:
        answers = dict(zip(addresses, pool.map(_metrics, addresses.values()), strict=True))
    found = {name: counted(text) for name, text in answers.items() if text is not None}
    listing = _listing({name: addresses[name] for name in found})
    silent = tuple(name for name, text in answers.items() if text is None)
    consumers = {consumer for each in found.values() for readers in each.values() for consumer in readers}
    return Seen(
        asked=frozenset(consumers | found.keys() | set(listing.values())),
        silent=silent,
        read=united(list(found.values())),
        groups=_groups(shop),
        patterns=[each for address, service in listing.items() for each in _patterns(address, service)],
        unasked=[each for each in LISTS if each in CATALOGUE and each not in (*listing.values(), *silent)],
    )


def _metrics(address: str) -> str | None:
    import httpx

    try:
        answer = httpx.get(f"{address}/metrics", timeout=PATIENCE, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    return answer.text if answer.is_success else None


def _listing(addresses: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses at which rules or endpoints are listed, and the service at each."""
    from deployment.asking import LISTS

    services = {address: name if name in CATALOGUE else _service_at(address) for name, address in addresses.items()}
    return {address: service for address, service in services.items() if service in LISTS}


def _service_at(address: str) -> str:
    """Return the name that a service says at its front door; nothing where there is none."""
    import httpx

    try:
        told = httpx.get(f"{address}/", timeout=PATIENCE, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return ""
    return str(told.get("service")) if isinstance(told, dict) else ""


def _patterns(address: str, service: str) -> "list[Asking]":
    import httpx

    from cli.asking import client_of
    from deployment.asking import LISTS, asking

    try:
        with client_of(address, timeout=PATIENCE) as client:
            return asking(service, everything(client, LISTS[service]))
    except httpx.HTTPError as error:
        fail(f"{service} at {address} does not say who asks for what ({LISTS[service]}): {error}")


def _groups(shop: Shop | None) -> dict[str, set[str]] | None:
    """Ask the shop's Kafka, or the one that SLICELINE_KAFKA names, who has places in which topic; None without any."""
    from aiokafka.errors import KafkaError

    from deployment.reading import groups_at
    from local.layout import layout_for

    kafka = layout_for(0).kafka or (kafka_of(shop) if shop and has_kafka(shop) else None)
    if kafka is None:
        return None
    try:
        return asyncio.run(groups_at(kafka))
    except (KafkaError, OSError) as error:
        fail(f"Kafka at {kafka} does not say who reads from it: {error}")


def _named(word: str) -> list[str]:
    from backbone.events import contracts
    from deployment.reading import types_named

    found = types_named(word)
    if not found:
        near = contracts.nearest(f"sliceline.{word.removeprefix('sliceline.')}")
        fail(f"No contract is called {word}.{f' Is {near} meant?' if near else ''}", code=2)
    return found


def _state(event_type: str) -> str:
    from backbone.events import contracts

    if since := contracts.retired(event_type):
        return f"retired {since}"
    leaving = contracts.leaving(event_type)
    return f"until {leaving.sunset}" if leaving else ""


def _about_looking(seen: "Seen | None", types: Sequence[str]) -> Iterable[str]:
    """Say how far the look went: what was not asked may read anything."""
    from deployment.asking import NOT_ASKED

    if seen is None:
        yield "\nNo shop runs here, so nobody was asked what he really reads. Start one, or say --at ADDRESS."
        return
    if seen.silent:
        yield f"\nNot seen, because they did not answer: {', '.join(seen.silent)}."
    yield from (f"\n{NOT_ASKED[service]}" for service in seen.unasked)
    if seen.groups is None:
        yield "\nKafka was not asked who else reads: no shop runs here, and SLICELINE_KAFKA names none."
    if others := sorted({group for each in types for group in seen.others_at(each)}):
        yield f"\nKnown to Kafka, in which version is not: {', '.join(others)}. Ask one with --at ADDRESS."


def _write_retired(file: Path, since: str) -> None:
    schema = {**json.loads(file.read_text()), "x-retired": since}
    file.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


def _short(types: Collection[str]) -> str:
    return ", ".join(each.removeprefix("sliceline.") for each in types)
