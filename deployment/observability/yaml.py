"""Writes values as YAML: the image has no library that does it, and what is written here is simple."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WRITTEN = "# Written by `./sliceline contracts` from deployment/observability: do not edit it.\n"


def document(value: Mapping[str, Any]) -> str:
    """Write a whole document, which says where it comes from."""
    return WRITTEN + "".join(f"{line}\n" for line in _lines(value))


def _lines(value: object) -> Iterator[str]:
    """Yield the lines of a mapping or a sequence; what is empty or simple is one."""
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _below(f"{name}:", each)
    elif isinstance(value, Sequence) and value and not isinstance(value, str):
        for each in value:
            first, *others = _lines(each)
            yield f"- {first}"
            yield from (f"  {line}" for line in others)
    else:
        yield _scalar(value)


def _below(name: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping | list | tuple) and value:
        yield name
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{name} {_scalar(value)}"


def _scalar(value: object) -> str:
    """Write a text in the marks of which it has none, and anything else as JSON has it, which YAML takes."""
    if isinstance(value, str) and '"' in value and value.isprintable():
        return "'{}'".format(value.replace("'", "''"))
    return json.dumps(value)
