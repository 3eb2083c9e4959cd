"""Serves what pages are made of in the browser: each file under an address that names its content."""

import gzip
import hashlib
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).with_name("static")
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"
_DIGITS = 12


@cache
def url(name: str) -> str:
    """Return the address of a file; another content has another address, so that browsers keep it for good."""
    return f"/static/{digest(name)[:_DIGITS]}/{name}"


@cache
def digest(name: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()


@cache
def packed(name: str) -> bytes:
    """Return a file as it travels, compressed."""
    return gzip.compress((FOLDER / name).read_bytes(), mtime=0)


def names() -> list[str]:
    """Name all files."""
    return sorted(each.name for each in FOLDER.iterdir() if each.suffix in KINDS)


async def serve(request: Request) -> Response:
    """Answer a file, where the address names what is in it."""
    name = request.path_params["name"]
    if name not in names() or url(name) != request.url.path:
        raise HTTPException(404)
    headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
    kind = KINDS[Path(name).suffix]
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed(name), headers={**headers, "Content-Encoding": "gzip"}, media_type=kind)
    return Response((FOLDER / name).read_bytes(), headers=headers, media_type=kind)
