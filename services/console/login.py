"""Logs people in at the issuer: the code flow of OpenID Connect, with PKCE (RFC 7636), and renews their tokens."""

import asyncio
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec

from backbone.errors import SlicelineError
from backbone.identity.issuer_keys import DISCOVERY, answer_of
from backbone.identity.own_token import ASSERTION, assertion
from backbone.identity.tokens import TokenRefused, Tokens
from backbone.observing.logs import logger
from services.console.session import Seal, Session
from services.console.settings import ConsoleSettings

CLIENT = "console"
BACK = "/login/back"
BEGUN_SECONDS = 600
"""How long somebody may take at the issuer."""
TICKET_SECONDS = 900
"""How long an address that logs somebody in may wait to be used."""
MOST_TICKETS = 10
"""Such addresses of one person at once; the oldest go."""
_RENEWED = 60.0
"""Seconds before its end at which a token is renewed."""


class NotLetIn(SlicelineError):
    """The issuer does not say who somebody is."""


class Begun(msgspec.Struct):
    """Is a login that has begun, which the browser keeps until it comes back."""

    state: str
    verifier: str
    to: str


class _Kept(msgspec.Struct):
    """Is what a cookie keeps of a session."""

    token: str
    refresh: str | None = None


class _Given(msgspec.Struct):
    """Is what the issuer answers (RFC 6749 5.1)."""

    access_token: str
    refresh_token: str | None = None


class Login:
    """Knows the issuer, and makes sessions of what it says."""

    def __init__(self, settings: ConsoleSettings, http: httpx.AsyncClient, seal: Seal) -> None:
        self._settings = settings
        self._http = http
        self._seal = seal
        self._tokens = Tokens(settings, lambda: http)
        self._tickets: dict[str, tuple[Session, float]] = {}
        self._renewing: dict[str, asyncio.Task[Session]] = {}

    async def begin(self, to: str) -> tuple[str, str]:
        """Return the address at which somebody logs in, and what the browser has to keep until then.

        Raises NotLetIn where the issuer does not say where that is.
        """
        begun = Begun(secrets.token_urlsafe(16), secrets.token_urlsafe(48), to)
        challenge = urlsafe_b64encode(sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": self._redirect,
            "state": begun.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        where = self._settings.issuer_login or await self._told("authorization_endpoint")
        return f"{where}?{urlencode(asked)}", self._seal.seal(begun, "begun")

    async def end(self, query: Mapping[str, str], kept: str | None) -> tuple[Session, str]:
        """Return who has logged in, and where to go on. Raises NotLetIn."""
        begun = self._seal.open(kept, Begun, "begun", BEGUN_SECONDS)
        if begun is None or not secrets.compare_digest(query.get("state", "").encode(), begun.state.encode()):
            raise NotLetIn("This is not the login that this browser has begun, or it took too long: log in again.")
        if "code" not in query:
            raise NotLetIn(f"Whoever logs people in has refused: {query.get('error', 'no reason is given')}.")
        form = {"grant_type": "authorization_code", "code": query["code"], "redirect_uri": self._redirect}
        return await self._given({**form, "code_verifier": begun.verifier}), begun.to

    async def who(self, token: str, refresh: str | None = None) -> Session:
        """Return whom a token is of. Raises NotLetIn."""
        try:
            read = await self._tokens.read(token)
        except TokenRefused as refused:
            raise NotLetIn(str(refused)) from None
        return Session(read.subject, read.scopes, token, read.ends_at, refresh)

    async def renewed(self, session: Session) -> Session:
        """Return the session with a newer token where this one ends soon and another can be had.

        Requests that come at once renew it once: what a token is renewed with counts only once.
        """
        if session.refresh is None or session.remaining > _RENEWED:
            return session
        if session.refresh not in self._renewing:
            self._renewing[session.refresh] = task = asyncio.create_task(self._renew(session))
            loop, refresh = asyncio.get_running_loop(), session.refresh
            task.add_done_callback(lambda _: loop.call_later(_RENEWED, self._renewing.pop, refresh, None))
        try:
            return await asyncio.shield(self._renewing[session.refresh])
        except NotLetIn:
            self._renewing.pop(session.refresh, None)  # the next request tries it again
            return session

    async def end_for_good(self, session: Session) -> None:
        """Have the issuer renew a login no more (RFC 7009), wherever its cookie has come to, if it knows that way.

        The token counts on until it ends: services ask nobody for each.
        """
        if session.refresh is None:
            return
        try:
            where = self._settings.issuer_tokens or await self._told("token_endpoint")
            await self._asked(f"{where.rpartition('/')[0]}/revoke", {"token": session.refresh})
        except (NotLetIn, httpx.HTTPError, OSError) as error:
            logger.warning("a login was not ended at the issuer", action="login-not-ended", reason=str(error))

    def cookie(self, session: Session) -> str:
        """Seal a session for its cookie."""
        return self._seal.seal(_Kept(session.token, session.refresh), "session")

    async def of_cookie(self, sealed: str | None) -> Session | None:
        """Return whose cookie this is; None where it is nobody's, or over."""
        return await self._of(self._seal.open(sealed, _Kept, "session"))

    def ticket(self, session: Session) -> str:
        """Return a word that logs somebody in once, here and within TICKET_SECONDS."""
        now = time.monotonic()
        self._tickets = {word: each for word, each in self._tickets.items() if each[1] > now}
        theirs = [word for word, each in self._tickets.items() if each[0].name == session.name]
        for word in theirs[: len(theirs) + 1 - MOST_TICKETS]:
            del self._tickets[word]
        word = secrets.token_urlsafe(16)
        self._tickets[word] = session, now + TICKET_SECONDS
        return word

    async def of_ticket(self, word: str) -> Session | None:
        """Return who comes with such a word; None where it is over, or was used."""
        session, until = self._tickets.pop(word, (None, 0.0))
        if session is None or until <= time.monotonic():
            return None
        return await self.renewed(session)

    async def aclose(self) -> None:
        """Ask the issuer nothing any more."""
        for task in self._renewing.values():
            task.cancel()
        await self._tokens.aclose()

    async def _of(self, kept: _Kept | None) -> Session | None:
        if kept is None:
            return None
        try:
            return await self.renewed(await self.who(kept.token, kept.refresh))
        except NotLetIn:
            return await self._late(kept)

    async def _late(self, kept: _Kept) -> Session | None:
        """Renew a session whose token has ended meanwhile."""
        ended = Session("", frozenset(), kept.token, 0.0, kept.refresh)
        found = await self.renewed(ended)
        return None if found is ended else found

    async def _renew(self, session: Session) -> Session:
        refresh = session.refresh or ""
        given = await self._given({"grant_type": "refresh_token", "refresh_token": refresh}, refresh)
        return replace(given, is_renewed=True)

    async def _given(self, form: Mapping[str, str], refresh: str | None = None) -> Session:
        """Ask for a token, as the client that we are by our key. Raises NotLetIn.

        An issuer that gives nothing new to renew it with takes the same again.
        """
        try:
            where = self._settings.issuer_tokens or await self._told("token_endpoint")
            given = msgspec.json.decode(await self._asked(where, form), type=_Given)
        except (httpx.HTTPError, OSError, msgspec.MsgspecError) as error:
            raise NotLetIn(f"{self._issuer} gives no token ({type(error).__name__}).") from None
        return await self.who(given.access_token, given.refresh_token or refresh)

    async def _asked(self, where: str, form: Mapping[str, str]) -> bytes:
        """Ask the issuer as the client that we are. Raises HTTPError, OSError."""
        key_file = self._settings.identity_key_file
        if key_file is None:
            raise FileNotFoundError("The console has no key by which the issuer would know it.")
        signed = assertion(CLIENT, self._issuer, key_file)
        own = {"client_id": CLIENT, "client_assertion_type": ASSERTION, "client_assertion": signed}
        return await answer_of(self._http, "POST", where, data={**form, **own})

    async def _told(self, name: str) -> str:
        """Return an address from the issuer's discovery document. Raises NotLetIn."""
        try:
            answer = await answer_of(self._http, "GET", f"{self._issuer}{DISCOVERY}")
            told: dict[str, Any] = msgspec.json.decode(answer)
            return str(told[name])
        except (httpx.HTTPError, msgspec.MsgspecError, KeyError) as error:
            raise NotLetIn(f"{self._issuer} does not say how one logs in ({type(error).__name__}).") from None

    @property
    def _issuer(self) -> str:
        return (self._settings.issuer or "").rstrip("/")

    @property
    def _redirect(self) -> str:
        return self._settings.console_url.rstrip("/") + BACK
