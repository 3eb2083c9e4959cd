"""Serves the identity provider over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse

from sandbox.identity.authorizing import SentBack
from sandbox.identity.errors import NobodyToTell, OAuthError
from sandbox.identity.forms import read_body
from sandbox.identity.pages import error_page
from sandbox.identity.provider import IdentityProvider
from sandbox.problems import answer_problems

NOT_KEPT = {"Cache-Control": "no-store"}


def create_app(provider: IdentityProvider) -> FastAPI:
    app = FastAPI(title="Sandbox identity provider")
    answer_problems(app)
    answer_refusals(app, provider)
    app.include_router(oidc_routes(provider))
    app.include_router(about_routes(provider))
    app.include_router(control_routes(provider))
    return app


def answer_refusals(app: FastAPI, provider: IdentityProvider) -> None:
    """Tell whoever can be told: the client itself, the client by way of the browser, or the person before it."""

    async def to_client(request: Request, error: OAuthError) -> Response:
        headers = dict(NOT_KEPT)
        if error.status == 401 and "authorization" in request.headers:
            headers["WWW-Authenticate"] = 'Basic realm="sandbox"'  # what was tried instead (RFC 6749, 5.2)
        return JSONResponse({"error": error.code, "error_description": error.description}, error.status, headers)

    async def to_browser(_: Request, error: SentBack) -> Response:
        return provider.refuse(error)

    async def to_person(_: Request, error: NobodyToTell) -> Response:
        return error_page(str(error))

    app.exception_handler(OAuthError)(to_client)
    app.exception_handler(SentBack)(to_browser)
    app.exception_handler(NobodyToTell)(to_person)


def oidc_routes(provider: IdentityProvider) -> APIRouter:
    """Make the routes that clients, browsers and whoever verifies tokens call."""
    routes = APIRouter(tags=["openid connect"])

    @routes.get("/.well-known/openid-configuration")
    async def discovery() -> dict[str, Any]:
        return provider.discovery()

    @routes.get("/keys")
    async def keys() -> JSONResponse:
        return JSONResponse(provider.keys.public(), headers={"Cache-Control": "public, max-age=60"})

    @routes.get("/authorize")
    async def authorize(request: Request) -> Response:
        return provider.ask_to_log_in(request.url.query)

    @routes.post("/authorize")
    async def log_in(request: Request) -> Response:
        return await provider.log_in(await read_body(request))

    @routes.post("/token")
    async def token(request: Request) -> JSONResponse:
        return JSONResponse(provider.token(await read_body(request)), headers=NOT_KEPT)

    @routes.post("/revoke")
    async def revoke(request: Request) -> Response:
        provider.revoke(await read_body(request))
        return Response(headers=NOT_KEPT)

    return routes


def about_routes(provider: IdentityProvider) -> APIRouter:
    """Make the route that tells who a token is of."""
    routes = APIRouter(tags=["openid connect"])

    @routes.get("/userinfo")
    async def userinfo(authorization: Annotated[str, Header()] = "") -> JSONResponse:
        if about := provider.userinfo(authorization):
            return JSONResponse(about, headers=NOT_KEPT)
        refusal = 'Bearer error="invalid_token"' if authorization else "Bearer"
        return JSONResponse({"error": "invalid_token"}, 401, NOT_KEPT | {"WWW-Authenticate": refusal})

    return routes


def control_routes(provider: IdentityProvider) -> APIRouter:
    """Make the routes that only a sandbox has: whoever reaches it may call them."""
    routes = APIRouter(tags=["control"])

    @routes.post("/keys/rotate")
    async def rotate() -> dict[str, str]:
        return provider.rotate()

    @routes.get("/health/live")
    @routes.get("/health/ready")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return routes
