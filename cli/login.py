"""Logs people in at the identity provider of the sandbox, as a browser would: the code flow with PKCE (RFC 7636)."""

import secrets
import shutil
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx

from cli.running import IDENTITY, Shop
from deployment.people import COMMAND_LINE, REDIRECT
from local import ROOT
from local.layout import layout_for

PATIENCE = 10.0
SEE_OTHER, ELSEWHERE = 303, 307
SEE = f"See: ./sliceline logs {IDENTITY}"


class NotLetIn(Exception):
    """Says why somebody gets no token, or is let in with none or not with this one, and what to do."""


@contextmanager
def logged_in(shop: Shop, console: str, person: str) -> Iterator[httpx.Client]:
    """Give a browser in which one of the sandbox's people has logged in to the console. Raises NotLetIn, HTTPError."""
    with httpx.Client(base_url=console, timeout=PATIENCE, trust_env=False) as browser:
        begun = browser.get("/login")
        if begun.status_code == ELSEWHERE:  # it is known by another name than the one it is asked at from here
            browser.headers["Host"] = urlsplit(begun.headers["location"]).netloc
            begun = browser.get("/login")
        asked = dict(parse_qsl(urlsplit(begun.headers.get("location", "")).query))
        form = {**asked, "username": person, "password": _password(shop, person)}
        answer = browser.post(f"{_issuer(shop)}/authorize", data=form)
        if answer.status_code != SEE_OTHER:
            raise NotLetIn(_not_let_in(person, answer))
        back = urlsplit(answer.headers["location"])
        browser.get(f"{back.path}?{back.query}").raise_for_status()
        for cookie in browser.cookies.jar:
            cookie.secure = False  # on the way from here nobody listens
        yield browser


def _issuer(shop: Shop) -> str:
    address = shop.rows[IDENTITY].address
    if not address:
        raise NotLetIn("The identity provider is not there yet. See how far it is: ./sliceline status")
    return address


def token_of(shop: Shop, person: str) -> str:
    """Return a new access token of one of the sandbox's people. Raises NotLetIn."""
    address = _issuer(shop)
    verifier = secrets.token_urlsafe(48)
    form = {"grant_type": "authorization_code", "client_id": COMMAND_LINE, "redirect_uri": REDIRECT}
    try:
        with httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False) as browser:
            code = _code(browser, person, _password(shop, person), verifier)
            answer = browser.post("/token", data={**form, "code": code, "code_verifier": verifier})
            return str(answer.raise_for_status().json()["access_token"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise NotLetIn(f"The identity provider gives no token ({error}). {SEE}") from None


def _password(shop: Shop, person: str) -> str:
    return _password_in_container(person) if shop.in_containers else _password_here(shop, person)


def _password_in_container(person: str) -> str:
    """Ask the provider's container, whose volume nobody else sees; it has nothing but Python to read a file with."""
    docker = shutil.which("docker")
    if docker is None:
        raise NotLetIn(
            "The shop runs in containers, or from another folder, and there is no `docker` here to read a person's "
            "password with. Set SLICELINE_TOKEN to a token that was got elsewhere."
        )
    read = f"import sys; sys.stdout.write(open('/identity/people/{person}/password').read())"
    command = [docker, "compose", "exec", "-T", IDENTITY, "python", "-c", read]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # noqa: S603 (the engine's own command)
    if done.returncode != 0 or not done.stdout.strip():
        raise NotLetIn(f"The password of {person} is in a volume of the containers: {done.stderr.strip() or 'none'}")
    return done.stdout.strip()


def _password_here(shop: Shop, person: str) -> str:
    path = layout_for(shop.port_offset).folder(IDENTITY) / "people" / person / "password"
    try:
        return path.read_text().strip()
    except OSError as error:
        raise NotLetIn(f"The password of {person} cannot be read: {path}: {error.strerror}") from None


def _code(browser: httpx.Client, person: str, password: str, verifier: str) -> str:
    """Send the form in which somebody logs in; return the code that the provider sends the client."""
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    state = secrets.token_urlsafe(16)
    asked = {"response_type": "code", "client_id": COMMAND_LINE, "redirect_uri": REDIRECT, "state": state}
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}
    answer = browser.post("/authorize", data={**asked, **pkce, "username": person, "password": password})
    location: str = answer.headers.get("location", "")
    told = parse_qs(urlsplit(location).query)
    if told.get("state") != [state] or "code" not in told:
        raise NotLetIn(_not_let_in(person, answer))
    return told["code"][0]


def _not_let_in(person: str, answer: httpx.Response) -> str:
    wait = answer.headers.get("retry-after")
    again = f"; try again in {wait} s" if wait else ""
    return f"The identity provider does not log {person} in ({answer.status_code}{again}). {SEE}"
