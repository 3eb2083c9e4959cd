"""Confines what a request sees and changes in the database to one customer's own rows (row-level security).

It is the second wall: the first are the conditions in services' statements, and this one stands where one is forgotten.
Postgres has the policies from what tables say of themselves (`tables.own`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SETTING = "sliceline.customer"
ASKING = f"NULLIF(current_setting('{_SETTING}', true), '')"
"""SQL: the customer who asks; null where nobody was named, and null is nobody's name."""
AS_BEFORE = "SET LOCAL ROLE NONE"
"""The statement that makes the rest of a transaction the service's own again."""

_only: ContextVar[str | None] = ContextVar("only", default=None)


def customers_of(service: str) -> str:
    """Name the role that a service takes on for a customer."""
    return f"{service}_customers"


@contextmanager
def confined_to(customer: str | None) -> Iterator[None]:
    """Have no row but this customer's own be there for what is asked during the block; None: everybody's are."""
    before = _only.set(customer)
    try:
        yield
    finally:
        _only.reset(before)


def confining(service: str) -> str | None:
    """Return the statements that confine the rest of a transaction to whose request this is; None: nothing does."""
    if (only := _only.get()) is None:
        return None
    # Each character by its number: so a name is no code, whatever is in it.
    customer = "".join(f"\\U{ord(each):08x}" for each in only)
    return f"SET LOCAL ROLE \"{customers_of(service)}\"; SET LOCAL {_SETTING} = E'{customer}'"
