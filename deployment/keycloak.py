"""Writes the realm of a Keycloak that stands in the place of the sandbox's identity provider: people.toml in its words.

`python -m deployment.keycloak FOLDER CLIENTS` writes `realm.json` into the one folder and draws people's passwords
there. The other one has programs' private keys, as `people.py` has drawn them; the realm is told the public halves.
"""

import argparse
import json
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deployment.drawing import draw_once, sync, written
from deployment.people import AUDIENCE, COMMAND_LINE, REDIRECT, clients, comes_back, names, people, roles, told_of

REALM = "sliceline"
TOKEN_SECONDS = 900
_OIDC = "openid-connect"
_AUDIENCE = "audience"
_SUBJECT = "subject"


def realm(public_keys: Mapping[str, str], passwords: Mapping[str, str]) -> dict[str, Any]:
    """Describe the realm: each scope is in the tokens of whoever has a role that may it, and is not asked for.

    `public_keys` has each program's as a JWKS, `passwords` each person's.
    """
    scopes = sorted(frozenset().union(*roles().values()))
    return {
        "realm": REALM,
        "enabled": True,
        "accessTokenLifespan": TOKEN_SECONDS,
        "bruteForceProtected": True,
        "roles": {"realm": [{"name": role} for role in roles()]},
        "clientScopes": [*map(_scope, scopes), _audience(), _subject()],
        "scopeMappings": [
            {"clientScope": scope, "roles": [role for role, theirs in roles().items() if scope in theirs]}
            for scope in scopes
        ],
        # None of Keycloak's own, which tell a program of people's profiles and mail addresses.
        "defaultDefaultClientScopes": [],
        "defaultOptionalClientScopes": [],
        "clients": [_command_line(scopes), *(_program(name, keys, scopes) for name, keys in public_keys.items())],
        "users": [
            *(_person(name, passwords[name], theirs) for name, theirs in people().items()),
            *(_service_account(name, clients()[name]) for name in public_keys),
        ],
    }


def _scope(name: str) -> dict[str, Any]:
    shown = {"include.in.token.scope": "true", "display.on.consent.screen": "false"}
    return {"name": name, "protocol": _OIDC, "attributes": shown}


def _audience() -> dict[str, Any]:
    told = {"included.custom.audience": AUDIENCE, "access.token.claim": "true", "id.token.claim": "false"}
    return _silent(_AUDIENCE, "oidc-audience-mapper", told)


def _subject() -> dict[str, Any]:
    return _silent(_SUBJECT, "oidc-sub-mapper", {"access.token.claim": "true"})


def _silent(name: str, mapper: str, told: Mapping[str, str]) -> dict[str, Any]:
    """Describe what puts something into every token without being named in its scope."""
    hidden = {"include.in.token.scope": "false", "display.on.consent.screen": "false"}
    mapped = {"name": name, "protocol": _OIDC, "protocolMapper": mapper, "config": dict(told)}
    return {"name": name, "protocol": _OIDC, "attributes": hidden, "protocolMappers": [mapped]}


def _command_line(scopes: Iterable[str]) -> dict[str, Any]:
    """Describe the client by which people log in: in a browser here, or on another device (RFC 8628)."""
    return {
        "clientId": COMMAND_LINE,
        "publicClient": True,
        "standardFlowEnabled": True,
        "redirectUris": [REDIRECT],
        "attributes": {"pkce.code.challenge.method": "S256", "oauth2.device.authorization.grant.enabled": "true"},
        **_may(scopes),
    }


def _program(name: str, keys: str, scopes: Iterable[str]) -> dict[str, Any]:
    """Describe a program, which shows who it is by a key of its own (private_key_jwt)."""
    return {
        "clientId": name,
        "serviceAccountsEnabled": True,
        "standardFlowEnabled": bool(redirects := comes_back(name)),
        "redirectUris": redirects,
        "clientAuthenticatorType": "client-jwt",
        "attributes": {
            "use.jwks.string": "true",
            "jwks.string": keys,
            "token.endpoint.auth.signing.alg": "ES256",
            **({"pkce.code.challenge.method": "S256"} if redirects else {}),
        },
        **_may(scopes),
    }


def _may(scopes: Iterable[str]) -> dict[str, Any]:
    return {
        "directAccessGrantsEnabled": False,
        "fullScopeAllowed": False,
        "defaultClientScopes": [*scopes, _AUDIENCE, _SUBJECT],
        "optionalClientScopes": [],
    }


def _person(name: str, password: str, theirs: Iterable[str]) -> dict[str, Any]:
    """Describe somebody; his id is the `sub` of his tokens, by which orders and acts know him."""
    return {
        "id": name,
        "username": name,
        # Keycloak lets nobody in whose profile lacks one of these.
        "firstName": names()[name],
        "lastName": names()[name],
        "email": f"{name}@example.com",
        "enabled": True,
        "credentials": [{"type": "password", "value": password}],
        "realmRoles": list(theirs),
    }


def _service_account(name: str, theirs: Iterable[str]) -> dict[str, Any]:
    return {
        "id": name,
        "username": f"service-account-{name}",
        "serviceAccountClientId": name,
        "enabled": True,
        "realmRoles": list(theirs),
    }


def prepare(folder: Path, private_keys: Path) -> Path:
    """Draw passwords that are missing; write the realm, which holds them, and return its file.

    Raises FileNotFoundError where a program has no key.
    """
    keys = {client: told_of(private_keys, client) for client in clients()}
    for name in people():
        draw_once(_password(folder, name), secrets.token_urlsafe(18))
    file = folder / "realm.json"
    told = realm(keys, {name: _password(folder, name).read_text().strip() for name in people()})
    begun = written(file, json.dumps(told, indent=2))
    begun.chmod(0o640)  # Keycloak is another user in its container, and of our group
    begun.replace(file)
    sync(folder)
    return file


def _password(folder: Path, name: str) -> Path:
    return folder / "people" / name / "password"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deployment.keycloak")
    parser.add_argument("folder", type=Path, help="the folder of the realm")
    parser.add_argument("clients", type=Path, help="the folder of programs' private keys")
    asked = parser.parse_args()
    try:
        prepare(asked.folder, asked.clients)
    except FileNotFoundError as error:
        sys.exit(f"There is no {error.filename}: ./sliceline up draws it, in containers the step `people`.")


if __name__ == "__main__":
    main()
