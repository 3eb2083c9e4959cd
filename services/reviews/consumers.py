"""Forgets customers whom orders has forgotten: a review holds what is theirs as well."""

from backbone.consuming.forgetting import forgetting
from backbone.consuming.handlers import Handlers
from services.reviews.events import CustomerForgotten

HANDLERS: Handlers = {CustomerForgotten: forgetting(lambda told: told.customer_id)}
