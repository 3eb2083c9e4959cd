"""The OpenAPI document of every service, for tests; `python -m tests.documents FOLDER` writes them for linters."""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from backbone.application import create_application
from backbone.context import Context
from backbone.http.openapi import Application
from backbone.http.routing import RoutePattern, routes_of
from backbone.service import Service
from backbone.storage.database import Database
from tests.all_services import SERVICES
from tests.issuing import BELIEVED


def application_of(service: Service[Any]) -> Application:
    """The service's application, which nobody asks anything that takes a database."""
    settings = service.settings(database_url="postgresql://nobody@nowhere/nothing", issuer=BELIEVED)
    return create_application(service, Context(settings, Database(settings.database_url, service.name)))


def every_route(name: str) -> list[RoutePattern]:
    """The routes of a service in the order in which they are tried: its own, and those that all have."""
    return [*routes_of(SERVICES[name].router), *_of_all()]


@cache
def _of_all() -> list[RoutePattern]:
    own = {each.template for each in routes_of(SERVICES["orders"].router)}
    return [each for each in routes_of(application_of(SERVICES["orders"])) if each.template not in own]


def document_of(service: Service[Any]) -> dict[str, Any]:
    """The service's OpenAPI document, as it is served."""
    return application_of(service).openapi()


def write_all(folder: Path) -> None:
    """Write each service's document to `folder`."""
    for name, service in SERVICES.items():
        (folder / f"{name}.json").write_text(json.dumps(document_of(service), indent=2))


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
