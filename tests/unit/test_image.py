"""What the image contains: all that its programs import, and nothing of ./sliceline beside it."""

import ast
from collections.abc import Iterator

from local import ROOT


def _imported(file: str) -> Iterator[str]:
    """The files of deployment/ that one of them imports."""
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "deployment":
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (path for name in names if (ROOT / (path := f"{str(name).replace('.', '/')}.py")).exists())


def _needed(file: str) -> set[str]:
    seen, due = {"deployment/__init__.py"}, [file]
    while due:
        if (each := due.pop()) not in seen:
            seen.add(each)
            due += _imported(each)
    return seen


def test_the_image_has_what_migrate_imports_and_no_more_of_its_room() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert {line[1:] for line in lines if line.startswith("!deployment/")} == _needed("deployment/migrate.py")
