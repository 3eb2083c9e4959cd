"""Reads what comes as a query or a form; parameters without a value are as if left out (RFC 6749, 3.1)."""

from collections import Counter
from urllib.parse import parse_qsl

from fastapi import Request

from sandbox.identity.errors import OAuthError

LARGEST = 16_384
MOST_FIELDS = 50
FORM = "application/x-www-form-urlencoded"


def read_pairs(text: str) -> tuple[dict[str, str], set[str]]:
    """Return the parameters, and the names of those that came more than once; raise OAuthError for what is no form."""
    try:
        pairs = parse_qsl(text, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise OAuthError("invalid_request", f"more than {MOST_FIELDS} parameters, or not in UTF-8") from error
    counts = Counter(name for name, _ in pairs)
    return dict(pairs), {name for name, count in counts.items() if count > 1}


async def read_body(request: Request) -> str:
    """Return the body of a form of a sensible size; raise OAuthError for anything else."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise OAuthError("invalid_request", f"send it as {FORM}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise OAuthError("invalid_request", f"more than {LARGEST} bytes", 413)
    try:
        return body.decode("ascii")
    except UnicodeDecodeError as error:
        raise OAuthError("invalid_request", f"not of the form {FORM}") from error
