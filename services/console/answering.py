"""Answers a form that was refused: with the page it came from, what was typed still in it, and what is wrong."""

from dataclasses import replace

import htpy as h
from htpy import Node

from services.console.asking import Refused
from services.console.elements import WRONG, notice
from services.console.shell import Page

UNPROCESSABLE = 422


def refused_with(page: Page, refused: Refused) -> Page:
    """Show a page again whose form a service has refused; the page has put what was typed into its fields."""
    said = refused.detail or refused.title
    wrong = [f"{field}: {message}" for field, message in refused.errors.items()]
    told = [h.strong[said], h.ul[(h.li[each] for each in wrong)]] if wrong else said
    return objecting(page, told)


def objecting(page: Page, told: Node) -> Page:
    """Show a page again whose form says something that cannot be meant."""
    return replace(page, above=notice(told, WRONG), status=UNPROCESSABLE)


def whole(text: str) -> int | str:
    """Read a whole number that was typed; what is none is left as it is, for the service to say what is wrong."""
    try:
        return int(text)
    except ValueError:
        return text
