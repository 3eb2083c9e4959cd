"""Serves the API as a page to read and to try, /docs. All of it comes from this process: no internet is needed."""

from importlib import resources
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from backbone.http.permissions import open_to_all
from backbone.http.problems import Problem

# None: nobody elsewhere is asked whether the document is valid.
_PARAMETERS: dict[str, Any] = {"validatorUrl": None}
_HEADERS = {"Cache-Control": "max-age=3600", "Accept-Ranges": "none"}
_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}

router = APIRouter(include_in_schema=False)


class WholeFile(FileResponse):
    """Is a file that is sent whole, whatever range is asked for: a server may always do so (RFC 9110 14.2)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hide the wish for a range, which Starlette would refuse in plain text and grant to HEAD."""
        headers = [each for each in scope["headers"] if each[0] != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


@router.get("/docs")
@open_to_all("It describes the API.")
async def get_docs(request: Request) -> Response:
    """Swagger UI. Its addresses are relative: they hold behind a proxy's prefix as well."""
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title=request.app.title,
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon.png",
        swagger_ui_parameters=_PARAMETERS,
    )


@router.get("/docs/{name}")
@open_to_all("It describes the API.")
async def get_docs_asset(name: str) -> Response:
    """Serve what the page is made of."""
    if name not in _ASSETS:
        raise Problem(404, "No such asset", "GET /docs is the page.")
    with resources.as_file(resources.files("fastapi_offline") / "static" / name) as path:
        return WholeFile(path, media_type=_ASSETS[name], headers=_HEADERS)
