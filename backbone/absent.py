"""Hides a library from one that would load it needlessly."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(*modules: str) -> Iterator[None]:
    """Hide these modules from whatever is imported in the block, unless they are loaded already."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # how Python says that there is none
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
