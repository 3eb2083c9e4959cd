"""Libraries that are there are not always wanted: some are looked for by others that do as well without them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(*modules: str) -> Iterator[None]:
    """Have what is imported in this block not find these modules, unless they are loaded already."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # how Python says that there is none
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
