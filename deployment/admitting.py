"""Tells Kafka who its users are and what they may do; everything else it refuses.

aiokafka does not know the request that gives a user a password (AlterUserScramCredentials, KIP-554), so it is described
here with its types, as Apache Kafka's protocol guide does; of rules it takes one at a time.
"""

import hashlib
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import (
    CreateAclsRequest_v1,
    DeleteAclsRequest_v1,
    DescribeAclsRequest_v1,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from deployment.doors import GUEST, Doors
from deployment.rights import Rights, Rule, rules

ITERATIONS = 4096
"""What Kafka asks for at least: a login pays for each."""
_SHA_512 = 2
_KINDS = {"topic": 2, "group": 3, "cluster": 4, "transactional_id": 5}
_OPERATIONS = {"all": 2, "read": 3, "write": 4, "create": 5, "describe": 8}
_ANY, _LITERAL, _PREFIX, _ALLOW = 1, 3, 4, 3
_FROM_ANYWHERE = "*"
_NOT_THERE = 91
"""The error of a user who has no password that could be taken from him."""


class _PasswordsResponse(Response):
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString()), ("error", Int16), ("message", CompactString()), ("tags", TaggedFields)
            ),
        ),
        ("tags", TaggedFields),
    )


class _PasswordsRequestV0(RequestStruct):
    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _PasswordsResponse
    SCHEMA = Schema(
        ("deletions", CompactArray(("user", CompactString()), ("mechanism", Int8), ("tags", TaggedFields))),
        (
            "upsertions",
            CompactArray(
                ("user", CompactString()),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _PasswordsRequest(Request[_PasswordsRequestV0]):
    API_KEY = 51

    def __init__(self, gone: Iterable[str], passwords: Mapping[str, str]) -> None:
        self._gone, self._passwords = gone, passwords

    def build(self, request_struct_class: type[_PasswordsRequestV0]) -> _PasswordsRequestV0:
        taken: list[Any] = [(user, _SHA_512, {}) for user in self._gone]
        given: list[Any] = [
            (user, _SHA_512, ITERATIONS, *_salted(password), {}) for user, password in self._passwords.items()
        ]
        return request_struct_class(taken, given, {})


class _RulesRequest(Request[DescribeAclsRequest_v1]):
    """Asks for all rules that there are."""

    API_KEY = 29

    def build(self, request_struct_class: type[DescribeAclsRequest_v1]) -> DescribeAclsRequest_v1:
        return request_struct_class(_ANY, None, _ANY, None, None, _ANY, _ANY)


class _AllowRequest(Request[CreateAclsRequest_v1]):
    API_KEY = 30

    def __init__(self, allowed: Collection[Rule]) -> None:
        self._allowed = allowed

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class([_coded(rule) for rule in sorted(self._allowed)])


class _ForbidRequest(Request[DeleteAclsRequest_v1]):
    API_KEY = 31

    def __init__(self, gone: Collection[Rule]) -> None:
        self._gone = gone

    def build(self, request_struct_class: type[DeleteAclsRequest_v1]) -> DeleteAclsRequest_v1:
        return request_struct_class([_coded(rule) for rule in sorted(self._gone)])


async def admit(doors: Doors, wanted: Mapping[str, Rights]) -> None:
    """Give these users their passwords and just these rights, and take everything from all others but guests.

    Raises KafkaError.
    """
    due = {user: rules(user, rights) for user, rights in wanted.items()}
    await _settle(doors, due, lambda user: not user.startswith(GUEST))


async def admit_guest(doors: Doors, name: str, due: Collection[Rule]) -> None:
    """Give one user more his password and just what these rules allow. Raises KafkaError."""
    await _settle(doors, {name: due}, lambda user: user == name)


async def _settle(doors: Doors, wanted: Mapping[str, Collection[Rule]], concerns: Callable[[str], bool]) -> None:
    for user in wanted:
        doors.draw(user)
    passwords = {user: doors.password(user) for user in wanted}
    client = AIOKafkaClient(**doors.admin.client(), client_id="sliceline-admitting", request_timeout_ms=10_000)
    try:
        await client.bootstrap()
        there = {rule for rule in await _rules(client) if concerns(rule.user)}
        due = {rule for each in wanted.values() for rule in each}
        await _set_passwords(client, sorted({rule.user for rule in there} - wanted.keys()), passwords)
        # First what is allowed: nobody is locked out meanwhile who may go on.
        if due - there:
            answer = await client.send(client.get_random_node(), _AllowRequest(due - there))
            _check(answer.creation_responses)
        if there - due:
            answer = await client.send(client.get_random_node(), _ForbidRequest(there - due))
            _check((code, message) for code, message, _ in answer.filter_responses)
    finally:
        await client.close()


async def _rules(client: AIOKafkaClient) -> set[Rule]:
    answer: Any = await client.send(client.get_random_node(), _RulesRequest())
    _check([(answer.error_code, answer.error_message)])
    return set(_decoded(answer.resources))


async def _set_passwords(client: AIOKafkaClient, gone: Collection[str], passwords: Mapping[str, str]) -> None:
    answer: Any = await client.send(client.get_random_node(), _PasswordsRequest(gone, passwords))
    _check((code, f"{user}: {message}") for user, code, message, _ in answer.results if code != _NOT_THERE)


def _salted(password: str) -> tuple[bytes, bytes]:
    """Salt a password, so that the broker is never told the password itself (RFC 5802)."""
    salt = secrets.token_bytes(24)
    return salt, hashlib.pbkdf2_hmac("sha512", password.encode("ascii"), salt, ITERATIONS)


def _coded(rule: Rule) -> tuple[Any, ...]:
    pattern = _PREFIX if rule.is_prefix else _LITERAL
    who = (f"User:{rule.user}", _FROM_ANYWHERE)
    return (_KINDS[rule.kind], rule.name, pattern, *who, _OPERATIONS[rule.operation], _ALLOW)


def _decoded(resources: Iterable[tuple[Any, ...]]) -> Iterator[Rule]:
    """Read Kafka's rules; what somebody has set that is none of ours is left alone."""
    kinds, operations = ({code: name for name, code in table.items()} for table in (_KINDS, _OPERATIONS))
    for kind, name, pattern, entries in resources:
        for principal, host, operation, permission in entries:
            is_ours = kind in kinds and operation in operations and (host, permission) == (_FROM_ANYWHERE, _ALLOW)
            if is_ours and principal.startswith("User:"):
                user = principal.removeprefix("User:")
                yield Rule(user, kinds[kind], name, operations[operation], pattern == _PREFIX)


def _check(answers: Iterable[tuple[int, str | None]]) -> None:
    for code, message in answers:
        if code:
            error: type[KafkaError] = for_code(code)
            raise error(message)
