"""Keeps objects in a folder, or at an address that speaks S3."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from backbone.events.dataref import Reference
from backbone.storage.objects import WITHIN, Missing, Unreachable

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Library
    from obstore.store import S3Config

_CONNECTING, _TRYING = timedelta(seconds=5), timedelta(seconds=10)
_TOGETHER = 500
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


class ObjectStore:
    """Is the store at one address, opened when it is first used."""

    def __init__(self, address: str) -> None:
        """`address`: file:///folder, which has to be there, or s3://bucket/prefix?endpoint=https://host&region=name.

        The keys to S3 are where all its clients look for them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role.
        """
        self._parts = urlsplit(address)
        self._folder = Path(url2pathname(self._parts.path)) if self._parts.scheme == "file" else None

    async def put(self, name: str, data: bytes) -> None:
        """Keep an object, in the place of one of its name; it is durable when this returns. Raises Unreachable."""
        async with self._answering():
            await obstore.put_async(self._library, name, data, use_multipart=False)
            if self._folder is not None:
                await asyncio.to_thread(_sync, self._folder / name, self._folder)

    async def get(self, wanted: Reference) -> bytes:
        """Return the data of a reference. Raises Missing or Corrupt; or Unreachable."""
        async with self._answering():
            try:
                found = await obstore.get_async(self._library, wanted.name)
            except FileNotFoundError:
                await self._days(wanted.name)  # a store that is not there at all has no object either
                raise Missing(f"The event's data is not in the object store: {wanted.name} is missing.") from None
            wanted.check_length(found.meta["size"])  # before it is in memory
            data = bytes(await found.bytes_async())
        wanted.check(data)
        return data

    async def purge(self, service: str, before: date, beat: Callable[[], None]) -> int:
        """Delete what a service has put there before a day; return how many objects. Raises Unreachable."""
        beat()
        async with self._answering():
            days = await self._days(service)
        old = sorted(day for day in days if _DAY.fullmatch(day) and day < before.isoformat())
        return sum([await self._purge_day(f"{service}/{day}/", beat) for day in old])

    async def _purge_day(self, prefix: str, beat: Callable[[], None]) -> int:
        beat()
        async with self._answering():
            names = [each["path"] async for found in obstore.list(self._library, prefix) for each in found]
        for start in range(0, len(names), _TOGETHER):
            beat()
            async with self._answering():
                with suppress(FileNotFoundError):  # another replica is at it: the rest is met at the next look
                    await obstore.delete_async(self._library, names[start : start + _TOGETHER])
        return len(names)

    async def _days(self, within: str) -> list[str]:
        listed = await obstore.list_with_delimiter_async(self._library, f"{within}/")
        return [each.rstrip("/").rpartition("/")[2] for each in listed["common_prefixes"]]

    @cached_property
    def _library(self) -> "Library":
        if self._folder is not None:
            return LocalStore(self._folder, automatic_cleanup=True)
        given: S3Config = {}
        for name, value in parse_qsl(self._parts.query):
            given["region" if name == "region" else "endpoint"] = value
        is_plain = given.get("endpoint", "").startswith("http://")
        return S3Store(
            self._parts.netloc,
            prefix=self._parts.path.strip("/") or None,
            config=given,
            client_options={"allow_http": is_plain, "connect_timeout": _CONNECTING, "timeout": _TRYING},
            retry_config={"max_retries": 2, "retry_timeout": _TRYING},
        )

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        """Raise whatever the library, the system or our patience says of the store as Unreachable."""
        try:
            if self._folder is not None and not self._folder.is_dir():  # the library would make it, on any disk
                raise NotADirectoryError(f"there is no folder {self._folder}")
            async with asyncio.timeout(WITHIN):
                yield
        except (BaseError, OSError) as error:
            said = str(error) or f"no answer within {WITHIN:.0f} s"
            raise Unreachable(f"The object store cannot be reached: {said.splitlines()[0]}") from error


def _sync(path: Path, root: Path) -> None:
    """Have the disk keep a file, and the names by which it is found."""
    for each in (path, *(parent for parent in path.parents if parent.is_relative_to(root))):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
