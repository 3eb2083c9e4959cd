"""Asks the services of a shop, with a token where they let nobody in without one."""

import os
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http import HTTPStatus

import httpx

from cli.answers import detail_of
from cli.console import fail
from cli.login import NotLetIn, token_of
from cli.running import IDENTITY, find
from deployment.people import who_has
from services import CATALOGUE

ROLE = "admin"
"""As whom commands ask where nobody has said: whoever can read that person's password."""
HOW = "Commands send the token in SLICELINE_TOKEN: export SLICELINE_TOKEN=$(./sliceline token --as ROLE)"
REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@contextmanager
def client_of(address: str = "", *, timeout: float) -> Iterator[httpx.Client]:
    """Open a client of a service, or of several; end the command where one does not let us in."""
    try:
        with opened(address, timeout=timeout) as client:
            yield client
    except NotLetIn as refused:
        fail(str(refused))


def opened(address: str = "", *, timeout: float) -> httpx.Client:
    """Open a client whose requests raise NotLetIn where a service does not let us in."""
    return httpx.Client(base_url=address, timeout=timeout, auth=Bearer(), trust_env=False)


def for_curl() -> str:
    """Return the option with which curl is let in; nothing where everybody is."""
    if os.environ.get("SLICELINE_TOKEN"):
        return '-H "Authorization: Bearer $SLICELINE_TOKEN" '
    shop = find()
    is_open = shop is None or IDENTITY not in shop.rows
    return "" if is_open else '-H "Authorization: Bearer $(./sliceline token --as reader)" '


class Bearer(httpx.Auth):
    """Sends a token along: the one in SLICELINE_TOKEN, else an administrator's of the sandbox, if there is one.

    The administrator's goes to services of the shop alone, and is renewed when it is over: some commands last longer.
    Raises NotLetIn.
    """

    def __init__(self) -> None:
        self._given = os.environ.get("SLICELINE_TOKEN", "").strip() or None
        self._shop = None if self._given else find()
        self._token: str | None = None
        self._refused: NotLetIn | None = None
        self._logging_in = threading.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request with its token, again where that was over."""
        if self._given and not _TOKEN.fullmatch(self._given):
            raise NotLetIn(f"SLICELINE_TOKEN holds no token, which is one word, without Bearer before it. {HOW}")
        logs_in = self._logs_in_for(request.url)
        token = self._other_than(None) if logs_in else self._given
        response = yield _bearing(request, token)
        if response.status_code == HTTPStatus.UNAUTHORIZED and logs_in:
            response = yield _bearing(request, self._other_than(token))
        if response.status_code in REFUSALS:
            response.read()
            asked = f"{request.method} {request.url.path}"
            raise NotLetIn(f"{asked} was refused with {response.status_code}: {detail_of(response)} {HOW}")

    def _logs_in_for(self, url: httpx.URL) -> bool:
        """Tell whether a service is asked of a shop that has an identity provider of its own."""
        if self._shop is None or IDENTITY not in self._shop.rows:
            return False
        services = (row for name, row in self._shop.rows.items() if name in CATALOGUE)
        return any(httpx.URL(row.address).netloc == url.netloc for row in services if row.address)

    def _other_than(self, over: str | None) -> str | None:
        """Return the administrator's token, a new one where the one that there is is over."""
        with self._logging_in:
            if self._refused:
                raise self._refused
            if self._token in (None, over):
                self._token = self._logged_in()
            return self._token

    def _logged_in(self) -> str | None:
        person = who_has(ROLE)
        try:
            return token_of(self._shop, person) if self._shop and person else None
        except NotLetIn as refused:
            self._refused = refused
            raise


def _bearing(request: httpx.Request, token: str | None) -> httpx.Request:
    if token:
        request.headers["Authorization"] = f"Bearer {token}"
    return request
