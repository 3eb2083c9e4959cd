"""Describes commands that come so often that many are written in one transaction."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from backbone.context import Context
from backbone.http.answers import Answer
from backbone.identity.caller import Caller
from backbone.storage.group_commit import Write

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True, eq=False)
class GroupedCommand(Generic[T, B]):
    """Describes a command of which many are written in one transaction (see `group_commit.py`, `express.py`)."""

    path: str
    body: type[B]
    decide: Callable[[B, Context[Any], Caller], Awaitable[tuple[T, Answer]]]
    """What a sound body amounts to from whoever sends it, and what is answered once that is written. Raises Problem.

    Writes nothing, but the data key of somebody who has none.
    """
    write: Write[T]
