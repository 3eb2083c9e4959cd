"""Lets options take several words: `--reads order-completed order-rejected`."""

from collections.abc import Iterable, Iterator
from typing import Any

from typer.core import TyperCommand


class SeveralWords(TyperCommand):
    """Is a command each of whose options takes all words up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the option before each of its words, as the parser wants it."""
        return super().parse_args(ctx, list(_spread(args)))


def _spread(args: Iterable[str]) -> Iterator[str]:
    option, is_named = "", False
    for word in args:
        if word.startswith("-"):
            option, is_named = word.partition("=")[0], "=" not in word
        elif option and not is_named:
            yield option
        else:
            is_named = False
        yield word
