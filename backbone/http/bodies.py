"""Refuses bodies that are too large, no JSON, or unsound in any character, before anybody looks into them."""

import codecs
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.message import Message
from functools import lru_cache
from typing import Any, TypeVar

import orjson
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as ASGIMessage

from backbone.http.problems import Problem, invalid, malformed
from backbone.http.wording import field_name

LARGEST = 64 * 1024
"""Bytes of a body, unless its route says otherwise (`takes_up_to`)."""
DEEPEST = 32
_LARGEST_WHOLE = 2**63
_MOST = "most_bytes"
_CHARSETS = ("utf-8", "utf8", "csutf8", "us-ascii", "ascii")
Location = tuple[int | str, ...]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def takes_up_to(most: int) -> Callable[[Endpoint], Endpoint]:
    """Let a route take bodies of so many bytes, where one says more than a command does; its path is a fixed one."""

    def marked(endpoint: Endpoint) -> Endpoint:
        endpoint.__dict__[_MOST] = most
        return endpoint

    return marked


def larger(routes: Iterable[BaseRoute]) -> dict[str, int]:
    """Return the most bytes that are taken, by path, of those routes that say so."""
    own = (each for each in routes if isinstance(each, Route))
    return {each.path: most for each in own if (most := getattr(each.endpoint, _MOST, None))}


class Bodies:
    """ASGI: reads the body, in one piece or many; lets only sound JSON through, up to LARGEST or what `larger` has."""

    def __init__(self, app: ASGIApp, larger: Mapping[str, int]) -> None:
        self.app = app
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a sound body through. Raises Problem: 400, 413, 415 or 422."""
        headers = Headers(scope=scope)
        if scope["type"] != "http" or not ("content-length" in headers or "transfer-encoding" in headers):
            await self.app(scope, receive, send)
            return
        body = await self._read(headers, receive, self._larger.get(scope["path"], LARGEST))
        if body is None:
            return
        if body:
            _check_type(headers)
            check_json(body)
        await self.app(scope, again({"type": "http.request", "body": body, "more_body": False}, receive), send)

    async def _read(self, headers: Headers, receive: Receive, most: int) -> bytes | None:
        """Read the whole body; None when the client went away. What is too large is not read on."""
        if headers.get("content-length", "0").rjust(20, "0") > str(most).rjust(20, "0"):
            raise self._too_large(most)
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > most:
                raise self._too_large(most)
            more = message.get("more_body", False)
        return b"".join(chunks)

    def _too_large(self, most: int) -> Problem:
        return Problem(413, "Body too large", f"A body may have {most} bytes at most.", field="body")


def check_json(body: bytes) -> Any:
    """Decode a body. Refuses what is not JSON as RFC 8259 and I-JSON (RFC 7493) have it, or no text column could hold.

    Raises Problem: 422 where the offending field can be named, else 400.
    """
    try:
        parsed = orjson.loads(body)  # strict about UTF-8, surrogates, NaN and Infinity, where the json module is not
    except orjson.JSONDecodeError as error:
        raise _encoding_refusal(body) or _refusal(body, str(error)) from None
    if _may_be_deep(body) and _is_deep(parsed):
        raise malformed(f"The body is nested deeper than {DEEPEST} levels.")
    try:
        _strict.decode(body.decode())
    except _Doubtful as error:
        raise _refusal(body, str(error)) from None
    if b"\\u0000" in body:
        _check_values(parsed)
    return parsed


class _Doubtful(ValueError):
    """The body is valid JSON, and yet readers disagree about what it says."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 7493 2.3. Two readers may each take another one of the two: a price checked here, another one charged there.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Doubtful("an object has two members of the same name")
    return found


def _whole(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) >= _LARGEST_WHOLE:
        raise _Doubtful("a number is too large")
    return int(digits)


_strict = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole)


def _encoding_refusal(body: bytes) -> Problem | None:
    """Say that a body is in Latin-1 or UTF-16, or has a byte order mark; None when it is UTF-8."""
    if body.startswith(codecs.BOM_UTF8):
        return malformed("The body begins with a byte order mark: JSON is sent without one (RFC 8259).")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        place = f"byte {error.start} is 0x{body[error.start]:02X}"
        return malformed(f"The body is not UTF-8, in which JSON is sent (RFC 8259): {place}.")
    return None


def _refusal(body: bytes, reason: str) -> Problem:
    """Say what is wrong with a body, naming the field where a more tolerant reader finds it."""
    if not _may_be_deep(body):
        try:
            _check_values(json.loads(body))
        except ValueError:
            pass
        except Problem as named:
            return named
    return malformed(f"The body is not sound JSON: {reason}.")


def _check_values(parsed: Any) -> None:
    errors = [
        {"field": _printable(field_name(location or ("body",))), "message": message}
        for location, value in _walk(parsed)
        if (message := _objection(value) or (_objection(location[-1]) if location else None))
    ]
    if errors:
        raise invalid(errors)


def _objection(value: Any) -> str | None:
    if isinstance(value, str):
        return text_objection(value)
    if isinstance(value, float) and not abs(value) < float("inf"):
        return "must be a finite number"
    if isinstance(value, int) and abs(value) >= _LARGEST_WHOLE:
        return "is too large"
    return None


def text_objection(text: str) -> str | None:
    """Say why Postgres or another reader could not take the text, or None."""
    if "\x00" in text:
        return "must not contain the NUL character"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "must be valid Unicode, without half of a surrogate pair"
    return None


def _walk(parsed: Any) -> Iterator[tuple[Location, Any]]:
    """Yield every value of a document with the path to it. Not recursive: depth is what we look for."""
    waiting: list[tuple[Location, Any]] = [((), parsed)]
    while waiting:
        location, value = waiting.pop()
        yield location, value
        if len(location) > DEEPEST:
            continue
        if isinstance(value, dict):
            waiting += [((*location, name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*location, index), inner) for index, inner in enumerate(value)]


def _is_deep(parsed: Any) -> bool:
    return any(len(location) >= DEEPEST and isinstance(value, dict | list) for location, value in _walk(parsed))


def _may_be_deep(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") > DEEPEST


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "?")


def _check_type(headers: Headers) -> None:
    detail = _type_objection(headers.get("content-type", ""))
    if detail:
        raise _unsupported(detail, Accept="application/json")
    if not _is_identity(headers.getlist("content-encoding")):
        raise _unsupported("Send the body without a Content-Encoding.", **{"Accept-Encoding": "identity"})


def _is_identity(codings: list[str]) -> bool:
    """Tell whether no content coding is applied; codings are a case-insensitive list (RFC 9110 8.4)."""
    return all(each.strip().lower() in ("", "identity") for each in ",".join(codings).split(","))


@lru_cache(maxsize=64)
def _type_objection(content_type: str) -> str | None:
    message = Message()
    message["content-type"] = content_type
    kind = message.get_content_type()
    if not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
        return "Send the body as Content-Type: application/json."
    if (message.get_content_charset() or "utf-8") not in _CHARSETS:
        return "JSON is sent in UTF-8 (RFC 8259)."
    return None


def _unsupported(detail: str, **headers: str) -> Problem:
    return Problem(415, "Unsupported media type", detail, field="body", headers=headers)


def again(first: ASGIMessage, receive: Receive) -> Receive:
    """Make a `receive` that returns this message once more, and then whatever else the client sends."""
    replayed = False

    async def receive_again() -> ASGIMessage:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return first

    return receive_again
