"""Keeps pages fresh: one look serves all who look at the same, and whoever has it already is sent nothing.

A page that is open in two hundred browsers asks the services as often as one that is open in one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.exceptions import HTTPException

from backbone.errors import SlicelineError
from backbone.observing.logs import logger
from services.console.asking import Ask, NotLoggedIn, Refused

EVERY = 1.5
"""Seconds between two looks."""
HEARTBEAT = 10.0
"""Seconds without news after which a comment is sent; the browser takes a longer silence for an end."""
MOST, MOST_OF_ONE = 5_000, 50
"""Pages that are open at once, of all and of one person."""
Look = Callable[[Ask], Awaitable[str]]
Key = tuple[str, ...]


class TooMany(SlicelineError):
    """More pages are open than one process keeps fresh."""


@dataclass(eq=False)
class _Follower:
    ask: Ask
    news: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class _Feed:
    """Is what those see who look at the same, and who they are."""

    look: Look
    followers: set[_Follower] = field(default_factory=set)
    shown: str | None = None
    version: int = 0
    away: str = ""
    """Why there is nothing newer, where there is not."""
    task: "asyncio.Task[None] | None" = None

    def freshest(self) -> _Follower:
        """Return the one whose token counts longest: the services are asked with it for all, who may all the same."""
        return max(self.followers, key=lambda each: each.ask.session.ends_at if each.ask.session else 0.0)

    def tell(self) -> None:
        for follower in self.followers:
            follower.news.set()


class Feeds:
    """Holds what is being looked at."""

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._feeds: dict[Key, _Feed] = {}
        self._stopping = asyncio.Event()

    @property
    def open(self) -> int:
        """How many pages are open."""
        return sum(len(feed.followers) for feed in self._feeds.values())

    def stop(self) -> None:
        """End all streams: browsers come again, to whoever is there then."""
        self._stopping.set()
        for feed in self._feeds.values():
            feed.tell()

    def leave(self, name: str) -> None:
        """Show somebody nothing new any more: each browser comes again, and is let in where its cookie still is."""
        for feed in self._feeds.values():
            for follower in feed.followers:
                if follower.ask.session is not None and follower.ask.session.name == name:
                    follower.ask.session = None
                    follower.news.set()

    def follow(self, ask: Ask, look: Look, personal: bool = False) -> AsyncIterator[bytes]:
        """Send a page's live part whenever it is another, until the token of whoever looks ends. Raises TooMany.

        A `personal` part is another for each who looks.
        """
        if self.open >= MOST:
            raise TooMany(f"{MOST:,} pages are open here already. Close one, or start another console.")
        if self._open_of(ask) >= MOST_OF_ONE:
            raise TooMany(f"You have {MOST_OF_ONE} pages open already. Close one.")
        return self._followed(ask, look, personal)

    def _open_of(self, ask: Ask) -> int:
        """Count the pages that whoever asks has open; where nobody is asked who he is, nobody has any."""
        session = ask.session
        if session is None or session.is_open:
            return 0
        names = (each.ask.session for feed in self._feeds.values() for each in feed.followers)
        return sum(each is not None and each.name == session.name for each in names)

    async def _followed(self, ask: Ask, look: Look, personal: bool) -> AsyncIterator[bytes]:
        key, follower = _key(ask, personal), _Follower(ask)
        feed = self._feeds.setdefault(key, _Feed(look))
        feed.followers.add(follower)
        if feed.task is None:
            feed.task = asyncio.create_task(self._keep(feed), name=f"live {ask.address}")
        try:
            yield format_sse_event(retry=1000)
            async for event in self._events(feed, follower):
                yield event
        finally:
            feed.followers.discard(follower)
            if not feed.followers:
                feed.task.cancel()
                self._feeds.pop(key, None)

    async def _events(self, feed: _Feed, follower: _Follower) -> AsyncIterator[bytes]:
        had, said = -1, None
        while not self._stopping.is_set() and _counts(follower.ask):
            if feed.away != said:
                said = feed.away
                yield format_sse_event(data_str=said or "here", event="away" if said else "here")
            if feed.shown is not None and feed.version != had:
                had = feed.version
                yield format_sse_event(data_str=feed.shown, id=str(had))
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await follower.news.wait()
                follower.news.clear()
            except TimeoutError:
                yield KEEPALIVE_COMMENT

    async def _keep(self, feed: _Feed) -> None:
        while True:
            began = time.monotonic()
            await self._look(feed)
            await asyncio.sleep(max(0.1, self._every - (time.monotonic() - began)))

    async def _look(self, feed: _Feed) -> None:
        """Look once, and tell all who follow where something is another."""
        follower = feed.freshest()
        shown, away = feed.shown, ""
        try:
            shown = await feed.look(follower.ask)
        except NotLoggedIn:
            follower.ask.session = None  # it ends this one's stream; the others' tokens are asked with next
            follower.news.set()
            return
        except Refused as refused:
            away = refused.detail or refused.title
        except (SlicelineError, HTTPException) as error:  # it says itself what is wrong
            away = str(error)
        except Exception as error:  # a page that fails now may be well in a moment, and others go on
            logger.exception("a live page failed", action="live-failed", page=follower.ask.address)
            away = f"This page fails ({type(error).__name__})."
        if shown != feed.shown or away != feed.away:
            feed.version += shown != feed.shown
            feed.shown, feed.away = shown, away
            feed.tell()


def _counts(ask: Ask) -> bool:
    """Tell whether whoever looks may still."""
    return ask.session is not None and ask.session.remaining > 0


def _key(ask: Ask, personal: bool) -> Key:
    """Name what somebody sees: the page, what one may, and, for what is one's own, who one is."""
    session = ask.session
    if session is None:
        return (ask.address,)
    own = personal or any(each.endswith(".own") for each in session.scopes)
    return (ask.address, *sorted(session.scopes), session.name if own else "")
