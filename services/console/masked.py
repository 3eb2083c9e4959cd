"""Shows what services tell to whoever looks: the personal is sealed for all, and other text to those who only read."""

import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from backbone.consuming.masking import Mask, texts_in
from backbone.values.sealed import SEALED
from services.console.asking import Ask
from services.console.wording import is_id

PLAIN = "operations.act"
"""Whoever has this scope mends events, and so sees them as they are."""
HIDDEN = "(sealed)"
_LONGEST = 140
_DOCUMENTS = ("data", "payload")
"""Members by which events, steps of journeys and letters tell what happened."""
_ERRORS = ("error", "refused_error", "failing_error", "given_up_error")
_TEXTS = ("key", "subject", "sentence", "text", "message", "reason", "diff", "value", "command", "said", "why")
_SAID = (*_DOCUMENTS, *_ERRORS, *_TEXTS)
"""Members in which the same may stand again, wherever they are."""
_WORD = re.compile(r"\w+")
_INITIALS = re.compile(r"(?<!\w)\w\W\w(?!\w)")
"""What is shorter than a mask looks for in a text, and no word: 李 明."""
# What is cut has lost the mark at its end; an apostrophe has a letter before it.
_QUOTED = re.compile(r"""(?:(?<!\w)|(?<=\bb))(['"])(.+?)(?:\1(?!\w)|$)""", re.DOTALL)
# As commands name a key, and what says that one is paused.
_KEYED = re.compile(r"--key '(.+?)'(?!\S)|--key ([^\s']+)|^key (.+?) paused since |paused key (.+?): ")
# One for all pages of a process: what is shown again is the same.
_SALT = secrets.token_bytes(16)


def masked(ask: Ask, told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a service tells as somebody may see it: an event, a step, a letter, a row of a list.

    Without the scope what is personal in it is other text of the same shape, in what was made of it as well: in the
    record, in its sentence, in what went wrong. Where no document is told, whatever may be personal is: a key that is
    no id of ours, and what an error quotes. `is_key_masked` says that its key leads nowhere.
    """
    if ask.may(PLAIN):
        return told
    mask = Mask(_SALT)
    documents = [told[name] for name in _DOCUMENTS if told.get(name) is not None]
    for document in documents:
        if isinstance(document, str):
            mask.learn_broken(document)
        else:
            mask.learn(document)
    if not documents:
        _suspect(mask, told)
    shown: Mapping[str, Any] = _within(mask, told)
    return {**shown, "is_key_masked": shown.get("key") != told.get("key")}


def brief(data: Any) -> str:
    """Write data in one line that is cut where it is long; what is sealed is said to be."""
    text = SEALED.sub(HIDDEN, data if isinstance(data, str) else msgspec.json.encode(data).decode())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def pretty(data: Any) -> str:
    """Write data as people read JSON; what is sealed is said to be."""
    text = data if isinstance(data, str) else msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
    return SEALED.sub(HIDDEN, text)


def _suspect(mask: Mask, told: Mapping[str, Any]) -> None:
    """Remember keys that are no ids, mail addresses, and what texts quote: no document says what of it is personal."""
    texts = list(texts_in(told))
    keys = [told.get("key") or "", *(key for text in texts for found in _KEYED.findall(text) for key in found)]
    for suspect in (*keys, *(quoted for text in texts for _, quoted in _QUOTED.findall(text))):
        if not is_id(suspect):
            mask.learn(suspect, is_personal=True)
    for text in texts:
        mask.learn(text)


def _within(mask: Mask, told: Any) -> Any:
    match told:
        case dict():
            return {name: _member(mask, name, inner) for name, inner in told.items()}
        case list():
            return [_within(mask, inner) for inner in told]
    return told


def _member(mask: Mask, name: str, inner: Any) -> Any:
    if isinstance(inner, str) and name.endswith("_base64"):
        return b64encode(_record(mask, b64decode(inner)).encode()).decode()
    if name not in _SAID:
        return _within(mask, inner)
    return _text(mask, inner) if isinstance(inner, str) else mask.value(inner)


def _text(mask: Mask, text: str) -> str:
    """Replace what is personal in a text, words that are too short for a mask to look for them as well."""
    words = _WORD.sub(lambda found: mask.text(found[0]), mask.text(text))
    return _INITIALS.sub(lambda found: mask.text(found[0]), words)


def _record(mask: Mask, raw: bytes) -> str:
    """Replace what is personal in a value of a record: as a document, for JSON may write a text in several ways."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if isinstance(found, dict | list):
        mask.learn(found)
        return msgspec.json.encode(mask.value(found)).decode()
    text = raw.decode(errors="backslashreplace")
    mask.learn_broken(text)
    return _text(mask, text)
