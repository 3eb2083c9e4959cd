"""Replaces a function of ours by one of the tests': pytest's monkeypatch does it, and so does `setattr` for good."""

from collections.abc import Callable
from typing import Any

Patch = Callable[[Any, str, Any], None]
