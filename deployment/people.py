"""Says who there is, and what each may do, to an identity provider of our own: people.toml, in the provider's words.

Programs are known by keys: each has a private one of its own, drawn once, and the provider is told the public one.
`python -m deployment.people IDENTITY CLIENTS` prepares a provider in the one folder; private keys go into the other.
With a name as well, it exchanges the key of that program.
"""

import argparse
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployment import CONSOLE_URL
from deployment.drawing import draw_once, sync, written
from services import CATALOGUE

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

FILE = Path(__file__).with_name("people.toml")
AUDIENCE = "sliceline"
COMMAND_LINE = "sliceline-cli"
REDIRECT = "http://127.0.0.1/callback"
"""Where the provider sends whoever logs in for the command line; the port may be any (RFC 8252 7.3)."""
CONSOLE = "console"
CONSOLE_BACK = "/login/back"
"""Where the provider sends whoever logs in for the console, at whatever address browsers reach that."""
CLIENTS = "clients"
INCLUDED = "+"
NOBODY_ELSE: Mapping[str, tuple[str, ...]] = {}


@cache
def _told() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


@cache
def roles() -> Mapping[str, frozenset[str]]:
    """Return the scopes of each role, those of the roles that it includes as well."""
    return {role: frozenset(_scopes(role)) for role in _told()["roles"]}


def _scopes(role: str) -> Iterable[str]:
    for each in _told()["roles"][role]:
        if each.startswith(INCLUDED):
            yield from _scopes(each.removeprefix(INCLUDED))
        else:
            yield each


def scopes_outside() -> frozenset[str]:
    """Return the scopes of those who come in by the front door."""
    return frozenset().union(*(roles()[role] for role in _told()["front_door"]["roles"]))


def people() -> Mapping[str, tuple[str, ...]]:
    """Return the roles of each person of the sandbox, by name."""
    return {name: tuple(each["roles"]) for name, each in _told()["people"].items()}


def names() -> Mapping[str, str]:
    """Return how each person of the sandbox is called."""
    return {name: each["name"] for name, each in _told()["people"].items()}


def who_has(role: str) -> str | None:
    """Return the first person with a role; None where nobody has it."""
    return next((name for name, theirs in people().items() if role in theirs), None)


def person_of(name: str) -> str | None:
    """Return the person of a name, or the first with a role of that name; None where there is neither."""
    return name if name in people() else who_has(name)


def clients() -> dict[str, tuple[str, ...]]:
    """Return the roles of each program that calls services: of every service, and of those outside."""
    told = _told()["clients"]
    return {name: ("service", *told.get(name, ())) if name in CATALOGUE else tuple(told[name]) for name in _named(told)}


def guests() -> dict[str, tuple[str, ...]]:
    """Return the roles of each listener of somebody else that the sandbox knows."""
    return {name: tuple(roles) for name, roles in _told()["guests"].items() if name not in CATALOGUE}


def _named(told: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys((*CATALOGUE, *told))


def comes_back(client: str) -> list[str]:
    """Return where people may be sent who have logged in for a program; nowhere unless it shows pages."""
    url = os.environ.get(CONSOLE_URL) or "http://127.0.0.1"  # with any port, as a loopback address may have
    return [url.rstrip("/") + CONSOLE_BACK] if client == CONSOLE else []


def key_of(folder: Path, client: str, private_keys: Path | None = None) -> Path:
    """Return the file with a program's private key, drawn where there is none; beside it is what issuers are told.

    With a folder for `private_keys` those lie there instead, where a provider need not see them.
    """
    private = (private_keys or folder / CLIENTS) / client / "key.pem"
    _draw(private, folder / _public(client))
    return private


def told_of(private_keys: Path, client: str) -> str:
    """Return what issuers are told of a program's key, a JWKS. Raises FileNotFoundError where none was drawn."""
    from joserfc.jwk import ECKey

    return json.dumps({"keys": [_told_of(ECKey.import_key((private_keys / client / "key.pem").read_text()))]})


def prepare(folder: Path, more: Mapping[str, tuple[str, ...]] = NOBODY_ELSE, private_keys: Path | None = None) -> Path:
    """Draw the keys that are missing, and write down who there is; return the file that says so.

    `more` are other programs with the roles of each.
    """
    programs = {**clients(), **more}
    for client in programs:
        key_of(folder, client, private_keys)
    register = folder / "register.json"
    written(register, json.dumps(_register(programs), indent=2)).replace(register)
    sync(folder)
    return register


def exchange(folder: Path, client: str, private_keys: Path | None = None) -> None:
    """Draw a program's next key. The issuer is told it first, and knows the one before until the next exchange."""
    from joserfc.jwk import ECKey

    private, public = key_of(folder, client, private_keys), folder / _public(client)
    last, key = ECKey.import_key(private.read_text()), ECKey.generate_key("P-256")
    written(public, json.dumps({"keys": [_told_of(key), _told_of(last)]})).replace(public)
    sync(public.parent)
    written(private, key.as_pem(private=True).decode()).replace(private)
    sync(private.parent)


def _public(client: str) -> str:
    return f"{CLIENTS}/{client}/public.jwks.json"


def _draw(private: Path, public: Path) -> None:
    from joserfc.jwk import ECKey

    if not private.exists():
        draw_once(private, ECKey.generate_key("P-256").as_pem(private=True).decode())
    if not public.exists():
        draw_once(public, json.dumps({"keys": [_told_of(ECKey.import_key(private.read_text()))]}))


def _told_of(key: "ECKey") -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig", "alg": "ES256"}


def _register(programs: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    return {
        "audience": AUDIENCE,
        "roles": {role: sorted(scopes) for role, scopes in roles().items()},
        "users": [{"sub": name, "name": names()[name], "roles": theirs} for name, theirs in people().items()],
        "clients": [
            {"id": COMMAND_LINE, "redirects": [REDIRECT]},
            *(
                {"id": name, "roles": theirs, "keys": _public(name), "redirects": comes_back(name)}
                for name, theirs in programs.items()
            ),
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deployment.people")
    parser.add_argument("identity", type=Path, help="the folder of the provider")
    parser.add_argument("clients", type=Path, help="the folder of programs' private keys")
    parser.add_argument(
        "exchanged", nargs="?", help="whose key is exchanged for a new one (without: draw what is missing)"
    )
    asked = parser.parse_args()
    if asked.exchanged not in (None, *clients()):
        parser.error(f"name one of the programs: {', '.join(clients())}")
    if asked.exchanged:
        exchange(asked.identity, asked.exchanged, asked.clients)
    else:
        prepare(asked.identity, private_keys=asked.clients)


if __name__ == "__main__":
    main()
