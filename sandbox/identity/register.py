"""Reads who there is from a JSON file: people, clients, and what their roles allow."""

import ipaddress
import json
import logging
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import SplitResult, urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from sandbox.identity.errors import Unusable

log = logging.getLogger("identity")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Is a file's name and a word of a log line as well."""
Scope = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$")]
NO_KEYS = KeySet([])
UNCLEAN = re.compile("[^!-~]")


def _redirect(text: str) -> str:
    parts = urlsplit(text)
    known = parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts))
    if not known or not parts.hostname or "#" in text or "@" in parts.netloc or UNCLEAN.search(text):
        raise ValueError("a redirect is an https address, or http://127.0.0.1/ or http://[::1]/, without a fragment")
    return text


def public_keys(document: Any) -> KeySet:
    """Read a JWKS; raise ValueError where it is none, or holds anything but public keys."""
    try:
        keys = KeySet.import_key_set(document)
    except (JoseError, TypeError, KeyError, AttributeError) as error:
        raise ValueError('keys are a JWKS: {"keys": [...]}') from error
    if any(key.is_private or key.key_type == "oct" for key in keys):
        raise ValueError("a client's keys are public: its private key stays with it")
    return keys


def _jwks(keys: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(keys, dict):
        public_keys(keys)
    return keys


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class User(Entry):
    sub: Name
    name: Annotated[str, Field(min_length=1, max_length=200)]
    roles: tuple[str, ...] = ()


class Client(Entry):
    """Is a program: one with `redirects` lets people log in, one with `keys` (a JWKS, or its file) works by itself."""

    id: Name
    redirects: tuple[Annotated[str, AfterValidator(_redirect)], ...] = ()
    roles: tuple[str, ...] = ()
    keys: Annotated[str | dict[str, Any], AfterValidator(_jwks)] | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.redirects and self.keys is None:
            raise ValueError(f"client {self.id} needs redirects, or keys, or both")
        if self.roles and self.keys is None:
            raise ValueError(f"client {self.id} has roles of its own, and so needs keys to show who it is")
        return self

    def may_redirect_to(self, uri: str) -> bool:
        """Compare exactly; only the port may be any where the host is a loopback address (RFC 8252, 7.3)."""
        return uri in self.redirects or any(_same_but_port(uri, allowed) for allowed in self.redirects)


class Register(Entry):
    audience: Annotated[str, Field(min_length=1, max_length=200)]
    roles: dict[Name, tuple[Scope, ...]]
    users: tuple[User, ...]
    clients: tuple[Client, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        # A client that works by itself is the subject of its tokens: under a person's name it would be that person.
        if twice := _repeated([*(user.sub for user in self.users), *(client.id for client in self.clients)]):
            raise ValueError(f"{twice} is the name of more than one user or client")
        held = {role for user in self.users for role in user.roles} | {
            role for each in self.clients for role in each.roles
        }
        if unknown := held - self.roles.keys():
            raise ValueError(f"there is no role {min(unknown)}")
        if any("openid" in scopes for scopes in self.roles.values()):
            raise ValueError("openid is given to whoever asks for it, and by no role")
        return self

    @cached_property
    def people(self) -> dict[str, User]:
        return {user.sub: user for user in self.users}

    @cached_property
    def programs(self) -> dict[str, Client]:
        return {client.id: client for client in self.clients}

    def scopes(self, roles: Iterable[str]) -> frozenset[str]:
        return frozenset(scope for role in roles for scope in self.roles[role])


class ClientKeys:
    """Holds the public keys of clients; a file is read again when it changed, so that a key can be exchanged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[tuple[int, ...], KeySet]] = {}

    def of(self, client: Client) -> KeySet:
        """Return a client's keys; none when its file is missing or wrong, which is logged."""
        if client.keys is None:
            return NO_KEYS
        if isinstance(client.keys, dict):
            return public_keys(client.keys)
        try:
            return self._of_file(self._folder / client.keys)
        except (OSError, ValueError, RecursionError) as error:
            log.warning("the keys of client %s cannot be read: %s", client.id, error)
            return NO_KEYS

    def _of_file(self, path: Path) -> KeySet:
        status = path.stat()
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._read.get(path)
        if known is None or known[0] != version:
            known = version, public_keys(json.loads(path.read_bytes()))
            self._read[path] = known
        return known[1]


def read_register(path: Path) -> Register:
    """Read the register; raise Unusable with what is wrong in it."""
    try:
        return Register.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Unusable(f"cannot read the register {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        at = f" at {where}" if where else ""
        raise Unusable(f"the register {path} is wrong{at}: {first['msg'].removeprefix('Value error, ')}") from error


def _same_but_port(uri: str, allowed: str) -> bool:
    if UNCLEAN.search(uri):  # urlsplit would leave some of it out
        return False
    try:
        given, known = urlsplit(uri), urlsplit(allowed)
        return _loopback(known) and _without_port(given) == _without_port(known)
    except ValueError:  # of a port that is none
        return False


def _without_port(parts: SplitResult) -> SplitResult:
    """Leave the port out, and only that: whatever else the host part holds makes it another one."""
    port = parts.port
    return parts if port is None else parts._replace(netloc=parts.netloc.removesuffix(f":{port}"))


def _loopback(parts: SplitResult) -> bool:
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:  # a name, which may lead anywhere
        return False


def _repeated(names: list[str]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)
