"""Serves the service's contracts under the path that the `dataschema` of its events ends with."""

from typing import Any

from fastapi import APIRouter

from backbone.events import contracts
from backbone.http.permissions import open_to_all
from backbone.http.problems import Problem


def routes(name: str) -> APIRouter:
    """Make the routes for the schemas of one service."""
    router = APIRouter()

    @router.get("/schemas")
    @open_to_all("Contracts are for whoever listens.")
    async def list_schemas() -> dict[str, list[dict[str, str]]]:
        """List what the service publishes: each event type, and where its schema is."""
        return {"schemas": [{"type": each, "href": path} for path, each in _paths(name).items()]}

    @router.get("/schemas/{owner}/{file}")
    @open_to_all("Contracts are for whoever listens.")
    async def get_schema(owner: str, file: str) -> dict[str, Any]:
        """One event version's JSON Schema (2020-12)."""
        event_type = _paths(name).get(f"/schemas/{owner}/{file}")
        if event_type is None:
            raise Problem(404, "No such schema", "GET /schemas lists those of this service.")
        return contracts.schema_of(event_type)

    return router


def _paths(name: str) -> dict[str, str]:
    # Looked up among those that exist and never made into a file's name.
    return {f"/schemas/{_file(each)}.json": each for each in contracts.schemas_of(name)}


def _file(event_type: str) -> str:
    _, owner, file = event_type.split(".", 2)
    return f"{owner}/{file}"
