"""Forgets customers: destroys the data key with which what is theirs is sealed here, and tells the others."""

from backbone.http import Answer
from backbone.sealing import store
from backbone.storage.database import Tx
from services.orders.events import CustomerForgotten


async def forget(tx: Tx, customer: str, by: str) -> Answer:
    """Destroy a customer's data key, if there is one. It is told in any case: others may keep one of their own."""
    destroyed = await store.forget(tx, {customer: tx.now})
    tx.publish(CustomerForgotten(customer_id=customer, by=by), key=customer)
    return Answer({"customer": customer, "destroyed": destroyed}, 202)
