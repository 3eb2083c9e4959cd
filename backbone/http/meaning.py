"""Tells whether two requests say the same, whatever the bytes: a client that sends again may serialise anew."""

from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

import orjson

from backbone.storage.idempotency import Claim

_WHOLE = range(-(2**63), 2**64)
"""What is read as a whole number when it is written as one; what lies beyond is a float either way."""


def claim_of(
    method: str, path: str, query: str, body: bytes, parsed: Any, key: str, caller: str | None = None
) -> Claim:
    """Make a request's claim to its key: the same key on another path, or from another `caller`, is another key.

    `parsed` is what the body says, None without one.
    """
    scope = f"{method} {path}" if caller is None else f"{method} {path} as {caller}"
    said = f"{scope}?{query}\n".encode()
    meant = f"{scope}?{_query_of(query)}\n".encode() if query else said
    return Claim(scope, key, sha256(said + body).digest(), sha256(meant + meaning_of(parsed)).digest())


def meaning_of(parsed: Any) -> bytes:
    """Write a document in canonical form: no blanks, members sorted by name, numbers written by value."""
    canonical = orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS)
    if b".0" in canonical or b"e+1" in canonical:  # 2.0 or 1e+16, where it is no text that looks so
        return orjson.dumps(_by_value(parsed), option=orjson.OPT_SORT_KEYS)
    return canonical


def _query_of(query: str) -> str:
    """Sort the parameters by name; those of one name keep their order, which may say something."""
    return repr(sorted(parse_qsl(query, keep_blank_values=True), key=lambda pair: pair[0]))


def _by_value(value: Any) -> Any:
    """Replace numbers by their value: JSON has one kind of number, so 2.0 and 2e0 are 2."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and int(value) in _WHOLE else value
    if isinstance(value, dict):
        return {name: _by_value(inner) for name, inner in value.items()}
    return [_by_value(inner) for inner in value] if isinstance(value, list) else value
