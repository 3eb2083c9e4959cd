"""Tells that a contract was released in a new form: once for each form, to each service that reads its event.

`./sliceline contracts release` writes forms down (schemas/released.jsonl) before anything of them runs. So a job looks
whether the release that runs has forms that were not told of.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from backbone.context import Context
from backbone.events import contracts
from backbone.events.contracts import schema_of, schemas_of
from backbone.events.envelope import name_without_version
from backbone.jobs.work import Done, Job
from backbone.storage.database import Tx
from services.ledger import store
from services.ledger.events import ContractReleased
from services.ledger.settings import Settings

RELEASES = "releases"
"""The first one is scheduled by the migration that makes its table."""
EVERY = timedelta(minutes=1)
_SHORT = "sliceline."


class Form(NamedTuple):
    """Names a form of an event version, and the release of the system that it came with."""

    type: str
    number: int
    release: str


class _Line(msgspec.Struct):
    type: str
    number: int
    release: str


async def run(_: Job, __: Context[Settings]) -> Sequence[Form]:
    """Read the forms that this release has."""
    return released()


async def settle(done: Sequence[Done], tx: Tx) -> None:
    """Tell of each form that is new, and look again. What a first look finds was there before: it is no news."""
    for each in done:
        is_first = not await store.knows_forms(tx)
        new = await store.note_forms(tx, each.outcome)
        for said in () if is_first else news(new, readers()):
            tx.publish(said, key=said.contract, cause=each.cause)
        tx.schedule(RELEASES, each.job.key, due=tx.now + EVERY, cause=each.cause)


def news(forms: Collection[Form], reading: Mapping[str, Collection[str]]) -> Iterator[ContractReleased]:
    """Tell of forms, to each service that reads the event in any version; once to nobody, where none does."""
    for form in sorted(forms):
        names = sorted(reading.get(name_without_version(form.type), ()))
        for name in names or (None,):
            yield ContractReleased(
                contract=form.type.removeprefix(_SHORT),
                form=form.number,
                release=form.release,
                owner=_owner(form.type) or UNSET,
                reader=name or UNSET,
                reader_owner=(name and _owner_of(name)) or UNSET,
            )


@lru_cache(maxsize=1)
def released() -> tuple[Form, ...]:
    """Read all forms; none where nothing was ever released."""
    file = contracts.SCHEMAS / "released.jsonl"
    lines = file.read_bytes().splitlines() if file.exists() else []
    return tuple(Form(each.type, each.number, each.release) for each in map(_READ.decode, lines))


_READ = msgspec.json.Decoder(_Line)


def readers() -> dict[str, set[str]]:
    """Return for each event, named without its version, the services that say that they read it."""
    found: dict[str, set[str]] = {}
    for file in (contracts.SCHEMAS / "consumers").glob("*/*.json"):
        found.setdefault(name_without_version(f"{_SHORT}{file.stem}"), set()).add(file.parent.name)
    return found


def _owner(event_type: str) -> str | None:
    """Return the address of those who own a contract; None of one whose file has gone."""
    try:
        owner: str | None = schema_of(event_type).get("x-owner")
    except contracts.UnknownContract:
        return None
    return owner


def _owner_of(service: str) -> str | None:
    """Return the address of those who own a service, as its own contracts have it."""
    return next(filter(None, map(_owner, schemas_of(service))), None)
