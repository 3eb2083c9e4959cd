"""Puts the pages together, in the order in which their list names them."""

from services.console.pages import (
    contracts,
    events,
    first,
    instants,
    journey,
    mending,
    operations,
    orders,
    rules,
    searching,
    tailing,
    topics,
    topology,
    trying,
    webhooks,
)
from services.console.routing import Pages

ALL = Pages()
for each in (
    first.pages,
    operations.pages,
    orders.pages,
    journey.pages,
    instants.pages,
    mending.pages,
    events.pages,
    searching.pages,
    topics.pages,
    tailing.pages,
    topology.pages,
    contracts.pages,
    trying.pages,
    rules.pages,
    webhooks.pages,
):
    ALL.include(each)
