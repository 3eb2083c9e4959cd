"""Puts the pages together, in the order in which their list names them."""

from services.console.pages import audit, consumers, dead_letters, discarded, first, jobs, letter, mending, redrives
from services.console.routing import Pages

ALL = Pages()
for each in (
    first.pages,
    discarded.pages,
    dead_letters.pages,
    mending.pages,
    letter.pages,
    redrives.pages,
    consumers.pages,
    jobs.pages,
    audit.pages,
):
    ALL.include(each)
