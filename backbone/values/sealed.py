"""Defines how a text looks that was sealed, and what is read in its place where it cannot be opened.

    sealed:1:orders.Zq3…:mF8…;
           │ │      │    └ nonce, ciphertext and tag of AES-256-GCM, as base64url
           │ │      └ the data key
           │ └ the service that keeps that key
           └ the form

It is one printable word, so it goes wherever the text itself goes: a row, an event, a mail that waits, the midst of
other text. Its end is marked, so that nothing that stands behind it is taken for a part of it.
"""

import re

FORGOTTEN = "(forgotten)"
"""What is read of somebody who was forgotten."""
UNREADABLE = "(not readable now)"
"""What is read while the service that keeps the key does not answer."""

KEY_BYTES = 32
"""Of a data key and of the master key: AES-256."""
SERVICE = "[a-z][a-z0-9-]{0,39}"
BASE64URL = "[A-Za-z0-9_-]"
_FORM = rf"sealed:1:({SERVICE}\.{BASE64URL}{{22}}):({BASE64URL}{{38,}});"
PATTERN = rf"^sealed:1:{SERVICE}\.{BASE64URL}{{22}}:{BASE64URL}{{38,}};$"
"""The form as a whole text, for schemas."""
LONGEST = 16_384
"""Characters of a sealed text: what a text of 2,000 characters can come to is less."""

SEALED = re.compile(_FORM)


def is_sealed(text: str) -> bool:
    """Tell whether a text is sealed, all of it."""
    return SEALED.fullmatch(text) is not None


def holds_sealed(text: str) -> bool:
    """Tell whether something sealed stands in a text."""
    return "sealed:" in text and SEALED.search(text) is not None
