"""Seals texts where they come in, and opens them where they are used.

Whoever takes in what is a person's own makes the data key, in its own database, and seals with it at once: what it
stores, publishes and answers from then on holds the sealed text. Whoever shows or sends it opens it at the last moment;
where the key is another service's, that one is asked over HTTP. Keys are remembered for seconds and never stored twice,
so that a key which is destroyed is destroyed.
"""

import asyncio
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from backbone.errors import SlicelineError
from backbone.identity.own_token import NoToken, OwnToken
from backbone.observing.logs import logger
from backbone.running.coalescer import Coalescer
from backbone.running.faults import OfOneAlone, is_passing
from backbone.sealing import store
from backbone.settings import Settings
from backbone.storage.confined import confined_to
from backbone.storage.database import Database
from backbone.values.sealed import FORGOTTEN, SEALED, UNREADABLE

if TYPE_CHECKING:
    import httpx

    from backbone.sealing.cipher import DataKey

T = TypeVar("T")
Seal = Callable[[str], str]

KEPT = 5.0
"""Seconds that a key is remembered: what was destroyed elsewhere is read, and sealed with, for so long at most."""
MOST = 4096
"""Keys remembered at once."""
AT_ONCE = 50
"""Keys asked for in one request."""
CALL_SECONDS = 3.0


class KeysAway(OfOneAlone, ConnectionError):
    """Who keeps the data key does not answer, or we lack the master key; it passes when that is mended."""


class WrongMasterKey(SlicelineError):
    """The data keys that are kept here cannot be unwrapped."""


class Stored(msgspec.Struct):
    """Is a data key as the service that keeps it tells it: still wrapped, or null where it was destroyed."""

    name: str
    wrapped: bytes | None


class StoredKeys(msgspec.Struct):
    """Is what a service answers that is asked for data keys."""

    items: list[Stored]


class Sealing:
    """Holds what a process needs to seal and to open: the master key, the keys that it knows, and whom to ask."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        http: "Callable[[], httpx.AsyncClient]",
        own_token: OwnToken,
    ) -> None:
        """`http` gives the client with which other services are asked, and `own_token` says who asks them."""
        self._settings = settings
        self._database = database
        self._http = http
        self._own_token = own_token
        self._of: _Memory[DataKey] = _Memory()
        self._known: _Memory[DataKey | None] = _Memory()
        self._keys: Coalescer[str, DataKey] = Coalescer("data keys", self._living)
        self._read: _Memory[tuple[bytes, ...]] = _Memory()
        self._last: tuple[bytes, ...] = ()

    @property
    def masters(self) -> tuple[bytes, ...]:
        """The master keys; new data keys are wrapped with the first. A file of them is read again every few seconds.

        Raises KeysAway where there is one that could not be read yet: nothing is to be left unsealed for that.
        """
        known = self._read.get("")
        if known is None:
            self._read.put("", known := self._read_again())
        return known

    def _read_again(self) -> tuple[bytes, ...]:
        try:
            self._last = self._settings.masters
        except ValueError as error:  # a file that is not there now, or half of it
            if not self._last:
                raise KeysAway(f"The master key cannot be read: {error}") from None
            logger.warning("the master key cannot be read again", action="master-key-unread", reason=str(error))
        return self._last

    async def check(self) -> None:
        """Look whether the data keys kept here, if any, are wrapped with our master key. Raises WrongMasterKey."""
        from backbone.sealing.cipher import NotOurs, unwrapped

        kept = await store.find_one(self._database.for_queries)
        if kept is None:
            return
        if not self.masters:
            raise WrongMasterKey(
                "Names and addresses are sealed here, and there is no master key: "
                "set SLICELINE_MASTER_KEY or SLICELINE_MASTER_KEY_FILE to the one of this installation."
            )
        try:
            unwrapped(*kept, self.masters)
        except NotOurs:
            raise WrongMasterKey(
                "Names and addresses are sealed here under another master key than the one that SLICELINE_MASTER_KEY "
                "or SLICELINE_MASTER_KEY_FILE gives. Put that one back: nobody can read them without it."
            ) from None

    async def seal_of(self, person: str) -> Seal:
        """Return what seals the texts of a person, whose data key is made where there is none yet.

        Without a master key texts stay as they are.
        """
        if not self.masters:
            return str
        key = self._of.get(person) or await self._keys.submit(person)
        return key.seal

    async def look_up(self, texts: Iterable[str]) -> None:
        """Ask at once for the keys of many texts that are opened one by one in a moment."""
        await self._find({found[1] for text in texts for found in SEALED.finditer(text)}, is_needed=False)

    async def opened(self, text: str) -> str:
        """Return a text with all that is sealed in it opened. Raises KeysAway."""
        return await self._opened(text, str, is_needed=True)

    async def opened_text(self, document: bytes) -> bytes:
        """Do the same with a document for people, in which UNREADABLE stands where a key cannot be had."""
        return (await self._opened(document.decode(), str, is_needed=False)).encode()

    async def opened_json(self, document: bytes, *, is_needed: bool = False) -> bytes:
        """Return a JSON document with all that is sealed in its texts opened.

        Where a key cannot be had, UNREADABLE stands there; with `is_needed` it raises KeysAway instead.
        """
        if b"sealed:" not in document:
            return document
        return (await self._opened(document.decode(), _in_json, is_needed=is_needed)).encode()

    async def _opened(self, text: str, write: Callable[[str], str], *, is_needed: bool) -> str:
        names = {found[1] for found in SEALED.finditer(text)}
        if not names:
            return text
        keys = await self._find(names, is_needed=is_needed)
        return SEALED.sub(lambda found: write(_clear(found, keys, is_needed=is_needed)), text)

    def drop(self) -> None:
        """Forget all keys that are remembered: one of them was destroyed."""
        self._of.clear()
        self._known.clear()

    async def _living(self, people: Sequence[str]) -> "Sequence[DataKey | Exception]":
        from backbone.sealing.cipher import (  # only who has a master key needs the library
            NotOurs,
            id_of,
            new_key,
            unwrapped,
            wrapped,
        )

        # Not as a command, some of which wait for rows: orders are accepted by group commit, which waits for none.
        masters, database = self._needed_masters(), self._database
        known = dict(await store.find_living(database, set(people)))
        made = [(new_key(self._database.service), person) for person in {*people} - known.keys()]
        if made:
            new = [(key.name, person, wrapped(key, masters[0])) for key, person in made]
            known |= await store.add_all(database, new, id_of(masters[0]))
        keys: dict[str, DataKey | Exception] = {}
        for person, (name, stored) in known.items():
            try:
                keys[person] = key = unwrapped(name, stored, masters)
            except NotOurs as error:
                keys[person] = KeysAway(f"{error} Is SLICELINE_MASTER_KEY the one of this installation?")
            else:
                self._of.put(person, key)
                self._known.put(key.name, key)
        return [keys.get(person) or _retired() for person in people]

    async def _find(self, names: Collection[str], *, is_needed: bool) -> "Mapping[str, DataKey | None]":
        """Find data keys by their names, the remembered ones first; None of one that was destroyed.

        Those that cannot be had are left out; with `is_needed` it raises KeysAway instead.
        """
        found = {name: known[0] for name in names if (known := self._known.peek(name))}
        for service, wanted in _by_service({*names} - found.keys()):
            try:
                found |= self._unwrapped(await self._stored(service, wanted))
            except KeysAway as away:
                if is_needed:
                    raise
                logger.warning("texts cannot be read now", action="keys-away", service=service, reason=str(away))
        if is_needed and (lacking := {*names} - found.keys()):
            raise KeysAway(
                f"Nobody knows the data key {min(lacking)}, or it was wrapped with another master key. "
                "Was its database restored from an older backup, or SLICELINE_MASTER_KEY changed?"
            )
        return found

    def _unwrapped(self, stored: Mapping[str, bytes | None]) -> "dict[str, DataKey | None]":
        """Unwrap data keys; one of another master key is left out."""
        from backbone.sealing.cipher import NotOurs, unwrapped

        masters = self._needed_masters()
        keys: dict[str, DataKey | None] = {}
        for name, each in stored.items():
            try:
                keys[name] = unwrapped(name, each, masters) if each else None
            except NotOurs as error:
                logger.warning("texts cannot be read now", action="keys-away", key=name, reason=str(error))
        for name, key in keys.items():
            self._known.put(name, key)
        return keys

    async def _stored(self, service: str, names: Sequence[str]) -> Mapping[str, bytes | None]:
        if service == self._database.service:
            return await self._own(names)
        address = self._settings.address_of(service)
        if address is None:
            raise KeysAway(f"SLICELINE_SERVICES does not say where {service} is, which keeps the key.")
        answers = [await self._asked(f"{address}/data-keys", part) for part in _parts(names)]
        return {each.name: each.wrapped for answer in answers for each in answer.items}

    async def _own(self, names: Sequence[str]) -> Mapping[str, bytes | None]:
        """Look up keys of our own; what has been committed is answered, also where that cannot be done now."""
        try:
            with confined_to(None):  # which key a text needs says the text; no customer may look for others
                return await store.find(self._database.for_queries, names)
        except Exception as error:
            if is_passing(error):
                raise KeysAway(f"Our own keys cannot be looked up ({type(error).__name__}).") from error
            raise

    async def _asked(self, url: str, names: Sequence[str]) -> StoredKeys:
        import httpx

        try:
            async with asyncio.timeout(CALL_SECONDS):
                headers = await self._own_token.headers()
                answer = await self._http().get(url, params=[("name", name) for name in names], headers=headers)
            self._own_token.heed(answer.status_code)
            return msgspec.json.decode(answer.raise_for_status().content, type=StoredKeys)
        except NoToken as error:
            raise KeysAway(str(error)) from None
        except (httpx.HTTPError, TimeoutError, msgspec.MsgspecError) as error:
            raise KeysAway(f"{url} does not tell the keys ({type(error).__name__}).") from None

    def _needed_masters(self) -> tuple[bytes, ...]:
        if not (masters := self.masters):
            raise KeysAway("There is no master key: set SLICELINE_MASTER_KEY or SLICELINE_MASTER_KEY_FILE.")
        return masters


class _Memory(Generic[T]):
    """Remembers so many values for a moment."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[T, float]] = {}

    def peek(self, name: str) -> tuple[T] | None:
        """Return the value, which may be None itself, in a tuple; None where it is not remembered any more."""
        value, until = self._values.get(name, (None, 0.0))
        return (value,) if time.monotonic() < until else None  # type: ignore[return-value]

    def get(self, name: str) -> T | None:
        known = self.peek(name)
        return known[0] if known else None

    def put(self, name: str, value: T) -> None:
        self._values.pop(name, None)
        if len(self._values) >= MOST:
            del self._values[next(iter(self._values))]
        self._values[name] = value, time.monotonic() + KEPT

    def clear(self) -> None:
        self._values.clear()


def _retired() -> KeysAway:
    return KeysAway("The master key was replaced, and the new one is not read yet here; it is in a few seconds.")


def _clear(found: re.Match[str], keys: "Mapping[str, DataKey | None]", *, is_needed: bool) -> str:
    """Open one sealed text, or say why it cannot be read; with `is_needed` raise KeysAway where it was changed."""
    from backbone.sealing.cipher import NotOurs

    name, ciphertext = found.groups()
    if name not in keys:
        return UNREADABLE
    key = keys[name]
    try:
        return key.open(ciphertext) if key else FORGOTTEN
    except NotOurs as error:
        if is_needed:
            raise KeysAway(str(error)) from None
        return UNREADABLE


def _in_json(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]


def _by_service(names: Collection[str]) -> Iterable[tuple[str, list[str]]]:
    services: dict[str, list[str]] = {}
    for name in sorted(names):
        services.setdefault(name.partition(".")[0], []).append(name)
    return services.items()


def _parts(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[at : at + AT_ONCE] for at in range(0, len(names), AT_ONCE))
