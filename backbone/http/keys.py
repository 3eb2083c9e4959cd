"""Reads the Idempotency-Key: a string of structured fields (RFC 9651 3.3.3), or bare text, as most clients send it."""

import re

from pydantic import JsonValue

from backbone.http.problems import malformed

KEY = "Idempotency-Key"
LONGEST = 255

_STRING = r'"((?:[ !#-\[\]-~]|\\["\\])*)"'
_BARE_ITEM = "|".join(
    (
        _STRING,
        r"-?[0-9]{1,12}\.[0-9]{1,3}",
        r"-?[0-9]{1,15}",
        r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*",
        r":[A-Za-z0-9+/=]*:",
        r"\?[01]",
        r"@-?[0-9]{1,15}",
    )
)
_PARAMETERS = rf"(?:; *[a-z*][a-z0-9_.*-]*(?:=(?:{_BARE_ITEM}))?)*"
_quoted = re.compile(_STRING + _PARAMETERS)
_bare = re.compile(r"[!#-~]+")
_escaped = re.compile(r"\\(.)")

DESCRIPTION = (
    f'1 to {LONGEST} characters of ASCII: a string of RFC 9651 ("a key", with \\" and \\\\ for quote and backslash),'
    " its parameters ignored, or bare, without blanks and quotes. The same request sent again gets the same answer."
)
# Told, but checked by `key_of`: a wrong key is malformed (400), and FastAPI would say 422.
SCHEMA: dict[str, JsonValue] = {
    "pattern": rf'^("([ !#-\[\]-~]|\\["\\]){{1,{LONGEST}}}"|[!#-~]{{1,{LONGEST}}})$',
    "examples": ["3f1c7a52-0a6b-4b5e-9d0e-5d8f0c9e7a11"],
}


def key_of(given: str | None) -> str | None:
    """Return the key that a header names, without quotes and escapes: a bare one is the same key as a quoted one.

    Raises Problem 400. The draft asks for a string; parameters are ignored, as it defines none.
    """
    if given is None:
        return None
    given = given.strip(" \t")
    if _bare.fullmatch(given):
        key = given
    elif quoted := _quoted.fullmatch(given):
        key = _escaped.sub(r"\1", quoted[1])
    else:
        raise malformed('must be ASCII characters in quotes, like "a key", or visible ones without quotes', KEY)
    if not 1 <= len(key) <= LONGEST:
        raise malformed(f"must have 1 to {LONGEST} characters", KEY)
    return key
