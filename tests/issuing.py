"""An issuer of tokens as services see one: it tells its keys over HTTP, signs, and gives tokens to whoever asks."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import ECKey

from backbone.identity.issuer_keys import DISCOVERY
from deployment import people

AUDIENCE = "sliceline"
SOMEBODY = "somebody"
EVERYTHING = sorted({scope for scopes in people.roles().values() for scope in scopes if not scope.endswith(".own")})
BELIEVED, FAR_AWAY = "https://people.test", 4_000_000_000
"""Whom services believe unless they are told of another issuer, and when its tokens end."""
_KEY = ec.derive_private_key(0x51CE, ec.SECP256R1())


class Issuer:
    """Signs with the newest of its keys, and tells them all."""

    def __init__(self) -> None:
        self.url = ""
        self.name: str | None = None
        self.keys: list[ECKey] = []
        self.others: list[dict[str, Any]] = []
        self.is_away = False
        self.answers = Event()
        self.answers.set()
        self.asked = 0
        self.before = b""
        """What comes before each of its answers."""
        self.gives: Sequence[str] = EVERYTHING
        """The scopes of the tokens that it gives to programs."""
        self.given = 0
        self.rotate()

    def rotate(self) -> None:
        """Make a key, which signs from now on."""
        self.keys.insert(0, ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True))

    def claims(self, name: str, *scopes: str, **changes: Any) -> dict[str, Any]:
        """What a token says; a change to None leaves a claim out."""
        now = int(time.time())
        usual = {
            "iss": self.name or self.url,
            "aud": AUDIENCE,
            "sub": name,
            "iat": now,
            "exp": now + 300,
            "scope": " ".join(scopes),
        }
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


def by(name: str, scopes: Iterable[str] = EVERYTHING) -> dict[str, str]:
    """The header by which somebody is let in who may do everything: the same text in each process, and at each time."""
    claims = {"iss": BELIEVED, "aud": AUDIENCE, "sub": name, "exp": FAR_AWAY, "scope": " ".join(scopes)}
    header = {"alg": "ES256", "kid": "tests", "typ": "at+jwt"}
    text = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    der = _KEY.sign(text, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    signature = b"".join(each.to_bytes(32, "big") for each in decode_dss_signature(der))
    return bearing(f"{text.decode()}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}")


def as_customer(name: str) -> dict[str, str]:
    """The header by which a customer is let in, for what is hers alone."""
    return by(name, sorted(people.roles()["customer"]))


@contextmanager
def believed(folder: Path) -> Iterator[None]:
    """Tell by which key those tokens are signed while the block runs, also to other processes; commands send one.

    Services that ask others get tokens there, by a key that lies in the folder.
    """
    with issuing() as issuer, pytest.MonkeyPatch.context() as changing:
        changing.setenv("SLICELINE_ISSUER_KEYS", f"{issuer.url}/keys")
        changing.setenv("SLICELINE_TOKEN", by(SOMEBODY)["Authorization"].removeprefix("Bearer "))
        pem = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key_file = folder / "key.pem"
        key_file.write_bytes(pem)
        changing.setenv("SLICELINE_ISSUER_TOKENS", f"{issuer.url}/tokens")
        changing.setenv("SLICELINE_IDENTITY_KEY_FILE", str(key_file))
        issuer.name = BELIEVED
        issuer.keys = [ECKey.import_key(pem, {"kid": "tests", "use": "sig", "alg": "ES256"})]
        yield


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer that answers while the block runs."""
    issuer = Issuer()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            endpoints = {"jwks_uri": f"{issuer.url}/keys", "token_endpoint": f"{issuer.url}/token"}
            documents = {DISCOVERY: {"issuer": issuer.url, **endpoints}, "/keys": issuer.told()}
            issuer.asked += 1
            issuer.answers.wait()
            self.send_response(503 if issuer.is_away else 200)
            self.end_headers()
            self.wfile.write(issuer.before + json.dumps(documents[self.path]).encode())

        def do_POST(self) -> None:
            """Whoever asks gets a token: that assertions are checked, the tests of the sandbox's provider show."""
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            issuer.given += 1
            self.send_response(200)
            self.end_headers()
            token = issuer.token(form["client_id"][0], *issuer.gives)
            self.wfile.write(json.dumps({"access_token": token, "expires_in": 900}).encode())

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
