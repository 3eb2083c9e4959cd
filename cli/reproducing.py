"""Writes a test in which a dead letter fails as it did."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backbone.consuming.reproduced import text_of
from cli.console import fail
from local import ROOT


def write_test(material: Mapping[str, Any], to: Path | None, *, is_archived: bool = False) -> Path:
    """Write the test and return where it is; an existing file is left alone.

    `is_archived`: what stood before the letter is from the ledger's archive.
    """
    service, letter = material["service"], material["letter"]
    path = to or ROOT / "tests" / "integration" / f"test_{service}_letter_{letter}.py"
    if path.exists():
        fail(f"{path} is there already; another one: --to FILE")
    try:
        path.write_text(text_of(material, is_archived=is_archived))
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}. Another place: --to FILE")
    return path
