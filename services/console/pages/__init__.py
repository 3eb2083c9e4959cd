"""Puts the pages together, in the order in which their list names them."""

from services.console.pages import contracts, events, first, rules, topics, topology, trying, webhooks
from services.console.routing import Pages

ALL = Pages()
for each in (
    first.pages,
    topics.pages,
    events.pages,
    topology.pages,
    contracts.pages,
    trying.pages,
    rules.pages,
    webhooks.pages,
):
    ALL.include(each)
