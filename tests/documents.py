"""The OpenAPI document of every service, for tests; `python -m tests.documents FOLDER` writes them for linters."""

import json
import sys
from pathlib import Path
from typing import Any

from backbone.application import create_application
from backbone.context import Context
from backbone.service import Service
from backbone.storage.database import Database
from tests.all_services import SERVICES
from tests.issuing import BELIEVED


def document_of(service: Service[Any]) -> dict[str, Any]:
    """The service's OpenAPI document, as it is served."""
    settings = service.settings(database_url="postgresql://nobody@nowhere/nothing", issuer=BELIEVED)
    context = Context(settings, Database(settings.database_url, service.name))
    return create_application(service, context).openapi()


def write_all(folder: Path) -> None:
    """Write each service's document to `folder`."""
    for name, service in SERVICES.items():
        (folder / f"{name}.json").write_text(json.dumps(document_of(service), indent=2))


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
