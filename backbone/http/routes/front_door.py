"""Serves the front door: what there is at this address, for whoever comes with nothing but the address."""

from typing import Any

from fastapi import APIRouter, Request

from backbone.http.permissions import open_to_all


def routes(name: str, about: str) -> APIRouter:
    """Make the route at /."""
    router = APIRouter()

    @router.get("/")
    @open_to_all("It tells what there is, and nothing of what is in it.")
    async def get_overview(request: Request) -> dict[str, Any]:
        """Show what there is: a page to try it, its description, and each path with what its methods do."""
        document = request.app.openapi()
        return {
            "service": name,
            "about": about,
            "version": document["info"]["version"],
            "docs": "/docs",
            "openapi": "/openapi.json",
            "paths": {path: _told(operations) for path, operations in document["paths"].items()},
        }

    return router


def _told(operations: dict[str, Any]) -> dict[str, str]:
    return {method.upper(): operation["description"].splitlines()[0] for method, operation in operations.items()}
