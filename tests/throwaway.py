"""A service written for one test: its own folder beside the real services, and a copy of the schemas to spoil."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import services
from backbone.events import contracts
from backbone.service import Service
from local import ROOT

MODULE = """
from typing import ClassVar

import msgspec
from fastapi import APIRouter

from backbone.events.payload import Payload
from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings

{payloads}

async def handle(event, tx): ...


SERVICE = Service(
    name="{name}", settings=Settings, router=APIRouter(), publishes=({publishes}), handlers={{{reads}}}
)

if __name__ == "__main__":
    run(SERVICE)
"""
START = """
import runpy, services
from pathlib import Path
from backbone.events import contracts
services.__path__.append({folder!r})
contracts.SCHEMAS = Path({schemas!r})
runpy.run_module("services.{name}.service", run_name="__main__")
"""


@dataclass
class ThrowAway:
    """The service. Its payloads are called Read… or Said…, or Kept… when it neither reads nor lists them."""

    name: str
    folder: Path
    schemas: Path

    def write(self, **payloads: str) -> None:
        """Write the service: each payload is given by its TYPE and, line by line, its fields."""
        classes = "\n\n".join(_payload(name, body.format(name=self.name)) for name, body in payloads.items())
        content = MODULE.format(
            payloads=classes,
            name=self.name,
            publishes="".join(f"{each}, " for each in payloads if each.startswith("Said")),
            reads=", ".join(f"{each}: handle" for each in payloads if each.startswith("Read")),
        )
        (self.folder / self.name / "service.py").write_text(content)

    def service(self) -> Service[Any]:
        loaded: Service[Any] = importlib.import_module(f"services.{self.name}.service").SERVICE
        return loaded

    def spoil(self, file: str, **changes: Any) -> None:
        """Change keywords of a schema; None takes one away."""
        path = self.schemas / file
        schema = json.loads(path.read_bytes()) | changes
        path.write_text(json.dumps({keyword: value for keyword, value in schema.items() if value is not None}))

    def start(self) -> tuple[int, str]:
        """Exit code and stderr of a process of it, which is told where its database would be."""
        code = START.format(folder=str(self.folder), schemas=str(self.schemas), name=self.name)
        told = {"SLICELINE_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nothing", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-P", "-c", code]
        done = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stderr


def _payload(name: str, body: str) -> str:
    event_type, *fields = body.split("\n")
    lines = [f'TYPE: ClassVar[str] = "{event_type}"'] if event_type else []
    return f"class {name}(Payload, frozen=True, kw_only=True):\n    " + "\n    ".join([*lines, *fields] or ["pass"])


@pytest.fixture
def throwaway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ThrowAway:
    name = f"regrets{uuid4().hex[:6]}"
    (tmp_path / name).mkdir()
    schemas = tmp_path / "schemas"
    shutil.copytree(contracts.SCHEMAS, schemas)
    monkeypatch.setattr(services, "__path__", [*services.__path__, str(tmp_path)])
    monkeypatch.setattr(contracts, "SCHEMAS", schemas)
    monkeypatch.setattr(contracts, "_validator", contracts._validator.__wrapped__)
    return ThrowAway(name, tmp_path, schemas)
