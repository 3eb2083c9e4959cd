"""Replaces personal data by other text of the same shape, the same by the same.

What is personal is told by the name of its column or member, in whatever place that value stands again.
"""

import re
import secrets
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from backbone.values.sealed import is_sealed

_NAMES = (
    "(?:name|email|e_mail|address|phone|recipient|customer|customer_id|body|subject|text|comment|note|title"
    "|reason|message|secret|token|password|url|by|actor)(?:e?s)?"
)
PERSONAL = re.compile(f"(?:^|_){_NAMES}$")
"""Names of columns and members, one or several, that hold what is a person's, or a secret."""
_PERSONS = re.compile(r"(?:^|_)(?:customer|recipient|person|contact|name|email|e_mail|address|phone)(?:e?s)?$")
"""Objects that are about a person: all text in them is personal."""
_PART = r"[^\s\"'<>()\[\]{},;:=@\\]"
_ADDRESS = re.compile(f"(?<!{_PART}){_PART}+@{_PART}+")  # tried once for each word, as some are very long
_MEMBER = re.compile(rf'"(?:[^"\\]*_)?{_NAMES}"\s*:\s*"((?:[^"\\]|\\.)+)')
"""A personal member as JSON writes it, in whatever is no whole document."""
_SHORTEST_INSIDE = 4
"""A personal value is replaced within a longer text as well where it is no shorter than this."""


class Mask:
    """Replaces what it has learnt; another mask replaces it by something else."""

    def __init__(self, salt: bytes | None = None) -> None:
        self._salt = salt or secrets.token_bytes(16)
        self._known: dict[str, str] = {}

    def learn(self, value: Any, *, is_personal: bool = False) -> None:
        """Remember the personal texts in a document."""
        match value:
            case str():
                self._learn_text(value, is_personal=is_personal)
            case dict():
                for name, inner in value.items():
                    self.learn(inner, is_personal=is_personal or _is_personal(name, inner))
            case list():
                for inner in value:
                    self.learn(inner, is_personal=is_personal)

    def learn_broken(self, text: str) -> None:
        """Remember the personal texts in what was to be a document and is none."""
        for personal in _MEMBER.findall(text):
            self._learn_text(personal, is_personal=True)
        self._learn_text(text)

    def _learn_text(self, text: str, *, is_personal: bool = False) -> None:
        """Remember a text, or the mail addresses in one that is not personal as a whole; none that is sealed."""
        if is_sealed(text):
            return
        for personal in [text] if is_personal and text else _ADDRESS.findall(text):
            self._known[personal] = self._replaced(personal)

    def value(self, value: Any) -> Any:
        """Return a document with all that is personal replaced."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {name: self.value(inner) for name, inner in value.items()}
            case list():
                return [self.value(inner) for inner in value]
        return value

    def text(self, text: str) -> str:
        """Return a text with what is personal in it replaced."""
        if text in self._known:
            return self._known[text]
        for known in sorted(self._known, key=len, reverse=True):
            if len(known) >= _SHORTEST_INSIDE and known in text:
                text = text.replace(known, self._known[known])
        return text

    def _replaced(self, text: str) -> str:
        """Replace letters and digits by others of their kind; what stands between them stays: so an address is one."""
        drawn = sha256(self._salt + text.encode("utf-8", "surrogatepass")).digest()
        return "".join(_other(each, drawn[at % len(drawn)]) for at, each in enumerate(text))


def names_in(documents: Iterable[Any]) -> Iterator[str]:
    """Yield the texts of rows' columns, by which other rows may be found."""
    for document in documents:
        if isinstance(document, dict):
            yield from (text for text in document.values() if isinstance(text, str))


def texts_in(document: Any) -> Iterator[str]:
    """Yield all texts of a document."""
    match document:
        case str():
            yield document
        case dict():
            for inner in document.values():
                yield from texts_in(inner)
        case list():
            for inner in document:
                yield from texts_in(inner)


def _is_personal(name: str, inner: Any) -> bool:
    is_text = isinstance(inner, str) or (isinstance(inner, list) and all(isinstance(each, str) for each in inner))
    return bool((PERSONAL if is_text else _PERSONS).search(name))


def _other(character: str, drawn: int) -> str:
    if character.isdecimal():
        return "0123456789"[drawn % 10]
    if not character.isalpha():
        return character
    letters = "abcdefghijklmnopqrstuvwxyz" if character.isascii() else "äöüéèàçñ"
    other = letters[drawn % len(letters)]
    return other.upper() if character.isupper() else other
