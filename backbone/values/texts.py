r"""Defines each kind of text once: what one door takes, every later one takes too, be it body, query, key or mail.

The patterns mean the same to Python, to Pydantic and to whoever reads our OpenAPI documents (ECMA-262), hence no `\s`
and no `\w`: the three differ about both.
"""

import re

LONGEST_KEY = 64
LONGEST_EMAIL = 254
"""Bytes of an address (RFC 5321, 4.5.3.1.3, less the angle brackets)."""
_LONGEST_LOCAL_PART = 64
_LONGEST_LABEL = 63

# Code points that are no characters (Unicode, 23.7). Those beyond U+FFFF stand for themselves: of the ways to write
# them none means the same to all readers.
NONCHARACTERS = r"\ufdd0-\ufdef\ufffe\uffff" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000)
)
# What can make one line look like two, or like another one: controls, separators of lines and paragraphs, and what
# turns the direction of all that follows it. The marks of direction (U+200E, U+200F, U+061C) only concern a neighbour.
_FORGING = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_BLANK = r" \xa0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000"
# Joiners and the like. They belong to many a name, but nobody sees a text of nothing else.
_UNSEEN = (
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f"
    r"\u3164\ufe00-\ufe0f\uffa0"
)
_NOWHERE = rf"{_FORGING}\ufeff\ufff9-\ufffb{NONCHARACTERS}"

LINE = rf"^[{_UNSEEN}]*[^{_NOWHERE}{_BLANK}{_UNSEEN}](?:[^{_NOWHERE}]*[^{_NOWHERE}{_BLANK}])?$"
"""One line of text for people: a name, an address, a reason, who acts. A short one can be the key of an event."""
PROSE = rf"^[{_UNSEEN}]*[^{_NOWHERE}{_BLANK}{_UNSEEN}](?:(?:[^{_NOWHERE}]|\r?\n|\t)*[^{_NOWHERE}{_BLANK}])?$"
"""Text for people in one line or several: what a customer says, a note."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What programs call things: a SKU, an item of the menu."""

_ATOM = rf'[^{_NOWHERE}{_BLANK}{_UNSEEN}"(),.:;<>@\[\\\]]+'
_LETTERS = rf"[^{_NOWHERE}{_BLANK}{_UNSEEN}\u3002\uff0e\uff61!-/:-@\[-`{{-~]+"
_LABEL = rf"{_LETTERS}(?:-+{_LETTERS})*"
EMAIL = rf"^{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*$"
"""An address without quotes, comments and literals (RFC 5322, 3.4.1), also beyond ASCII (RFC 6531)."""

IN_WORDS = {
    LINE: "must be one line of text that can be seen, without control characters and without a blank at either end",
    PROSE: "must be text that can be seen, without control characters but line breaks, and without a blank at an end",
    NAME: "must be letters, digits, dots, hyphens and underscores, beginning with a letter or a digit",
    EMAIL: "must be an address like ada@example.com",
}
"""What a text that does not match is told."""

_LINE, _EMAIL = re.compile(LINE), re.compile(EMAIL)
_FORGERIES = re.compile(f"[{_FORGING}]+")


def is_line(text: str) -> bool:
    """Tell whether the text is one line that people can read."""
    return _LINE.fullmatch(text) is not None


def is_email(text: str) -> bool:
    """Tell whether a mail server can be asked to deliver there."""
    return _EMAIL.fullmatch(text) is not None and email_objection(text) is None


def email_objection(address: str) -> str | None:
    """Say what a pattern cannot say against an address, or None."""
    local_part, _, domain = address.rpartition("@")
    if "=?" in local_part:  # parsers of headers take it for the beginning of an encoded word (RFC 2047)
        return "must not hold the beginning of an encoded word, =?"
    if len(address.encode()) > LONGEST_EMAIL or len(local_part.encode()) > _LONGEST_LOCAL_PART:
        return f"must have at most {LONGEST_EMAIL} bytes, and {_LONGEST_LOCAL_PART} before the @"
    if not _is_domain(domain):
        return "must name a domain that can exist"
    return None


def one_line(text: str) -> str:
    """Replace by a blank whatever could forge a header, a line or what stands in it; all else stays as it was."""
    return " ".join(part for each in _FORGERIES.split(text) if (part := each.strip()))


def _is_domain(domain: str) -> bool:
    if domain.isascii():
        return max(map(len, domain.split("."))) <= _LONGEST_LABEL
    import idna  # large tables, for few addresses

    try:
        idna.encode(domain, uts46=True)
    except idna.IDNAError:
        return False
    return True
