"""The README.md of a room is a map of it: it has to show what is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BACKBONE = ROOT / "backbone"
MAP = (BACKBONE / "README.md").read_text()
STATIONS = [line for line in MAP.splitlines() if re.match(r"\| \d+ \|", line)]


def names(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def defined(path: Path) -> set[str]:
    """Every function and class of a module, methods as Class.method."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if hasattr(each, "name")}
    return found


def modules(room: Path) -> list[str]:
    return sorted(
        path.relative_to(room).as_posix()
        for path in room.rglob("*.py")
        if path.name != "__init__.py" and "versions" not in path.relative_to(room).parts
    )


@pytest.mark.parametrize("room", ["backbone", "deployment"])
def test_the_map_has_one_line_for_every_module(room: str) -> None:
    shown = re.findall(r"^- `([^`]+)`: ", (ROOT / room / "README.md").read_text(), re.M)
    assert sorted(shown) == modules(ROOT / room)


@pytest.mark.parametrize("station", STATIONS, ids=range(1, len(STATIONS) + 1))
def test_the_life_of_an_order_passes_functions_that_exist(station: str) -> None:
    where, there = station.split("|")[3], set[str]()
    for name in names(where):
        if name.endswith(".py"):
            path = BACKBONE.parent / name if name.startswith("services/") else BACKBONE / name
            there = defined(path)
        else:
            assert name in there, f"{name} is not in {path}"


def test_every_room_stands_in_the_map() -> None:
    rooms = {path.name for path in BACKBONE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= set(MAP.split())
