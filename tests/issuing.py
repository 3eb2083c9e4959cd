"""An issuer of tokens as services see one: it tells its keys over HTTP, and signs."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from backbone.identity.issuer_keys import DISCOVERY

AUDIENCE = "sliceline"


class Issuer:
    """Signs with the newest of its keys, and tells them all."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: list[ECKey] = []
        self.others: list[dict[str, Any]] = []
        self.is_away = False
        self.answers = Event()
        self.answers.set()
        self.asked = 0
        self.rotate()

    def rotate(self) -> None:
        """Make a key, which signs from now on."""
        self.keys.insert(0, ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True))

    def claims(self, name: str, *scopes: str, **changes: Any) -> dict[str, Any]:
        """What a token says; a change to None leaves a claim out."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": name, "iat": now, "exp": now + 300, "scope": " ".join(scopes)}
        return {claim: value for claim, value in {**usual, **changes}.items() if value is not None}

    def token(self, name: str, *scopes: str, **changes: Any) -> str:
        """A token for somebody with these scopes."""
        return signed(self.claims(name, *scopes, **changes), self.keys[0])

    def told(self) -> dict[str, Any]:
        """The public keys, behind those of others."""
        return {"keys": [*self.others, *(each.as_dict(private=False) for each in self.keys)]}


def signed(claims: dict[str, Any], key: Any, **header: Any) -> str:
    """A token, signed with this key."""
    return jwt.encode({"alg": "ES256", "kid": key.kid, "typ": "at+jwt", **header}, claims, key)


def bearing(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer that answers while the block runs."""
    issuer = Issuer()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            documents = {DISCOVERY: {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}, "/keys": issuer.told()}
            issuer.asked += 1
            issuer.answers.wait()
            self.send_response(503 if issuer.is_away else 200)
            self.end_headers()
            self.wfile.write(json.dumps(documents[self.path]).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield issuer
        finally:
            issuer.answers.set()
            server.shutdown()
            thread.join()
