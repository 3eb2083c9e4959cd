"""./sliceline forget: make unreadable for good what the shop knows of a customer."""

import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from cli.answers import answer_of, everything
from cli.console import console, fail
from cli.running import address_of, running_shop

if TYPE_CHECKING:
    import httpx

ENDED = ("completed", "rejected", "cancelled")
WITHIN = 20.0
"""Seconds in which the other services hear of it where nothing is in their way."""

Keys = dict[str, list[dict[str, Any]]]
"""The data keys that each service keeps, or kept, of a customer."""


def forget(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Make unreadable for good what the shop knows of a customer, by destroying the keys it is sealed with.

    Names, addresses, mail addresses and what was said in reviews then read "(forgotten)" in all services, and nobody
    can open them in topics, dead letters and the archive. Orders and points stay, under the customer's id. Asked for
    again, it is done again.
    """
    import httpx

    from cli.asking import client_of

    with client_of(timeout=30) as client:
        try:
            keys = _known(client, customer)
            if not _tell(client, customer, keys):
                return
            if not yes:
                typer.confirm("Nobody can undo this. Forget this customer?", abort=True)
            url = f"{address_of('orders')}/customers/{quote(customer, safe='')}/forget"
            answer_of(client.post(url))
            for keeper in _living(keys):  # those who hear of it by an event, too: that does no harm
                answer_of(client.post(f"{address_of(keeper)}/data-keys/forget", json={"person": customer}))
            _await(client, customer)
        except httpx.HTTPError as error:
            fail(f"A service does not answer ({error}). See: ./sliceline status. Then say it again: that does no harm.")


def _known(client: "httpx.Client", customer: str) -> Keys:
    """Ask all that keep keys; end the command when none knows the customer."""
    keys = {name: _keys_of(client, name, customer) for name in _keepers()}
    if not any(keys.values()):
        fail(
            f"Nothing is sealed for a customer '{customer}' in {', '.join(keys)}. Is that the id? "
            "GET /orders/ORDER shows an order's customer."
        )
    return keys


def _keepers() -> list[str]:
    """Name the services of the running shop that keep data keys."""
    from services import CATALOGUE

    return [name for name in running_shop().rows if name in CATALOGUE]


def _keys_of(client: "httpx.Client", service: str, customer: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = answer_of(
        client.get(f"{address_of(service)}/data-keys/of", params={"person": customer})
    )["items"]
    return items


def _tell(client: "httpx.Client", customer: str, keys: Keys) -> bool:
    """Say what will be unreadable; return whether anything is left to be."""
    living = _living(keys)
    if not living:
        when = max(each["forgotten_at"] for items in keys.values() for each in items)
        _say(f"The customer '{customer}' was forgotten at {when[:19]}Z, and has told nothing since.")
        return False
    statuses = [each["status"] for each in _orders(client, customer)]
    _say(f"Unreadable for good will be what is sealed for '{customer}' by {', '.join(living)}:")
    _say("  name, mail address and address, in orders, carts, deliveries, mails, reviews and all their events")
    _say("  what was said in reviews, and how cases were resolved")
    _say(f"What stays: {len(statuses)} orders with their lines and money, and the points, under the customer's id.")
    if under_way := sum(status not in ENDED for status in statuses):
        _say(f"{under_way} of the orders are under way: nobody will know where to bring them. Cancel them first.")
    return True


def _orders(client: "httpx.Client", customer: str) -> list[dict[str, Any]]:
    return list(everything(client, f"{address_of('orders')}/orders", customer=customer))


def _living(keys: Keys) -> list[str]:
    return [name for name, items in keys.items() if any(each["forgotten_at"] is None for each in items)]


def _await(client: "httpx.Client", customer: str) -> None:
    """Wait until all have destroyed their keys, and say what was done."""
    until = time.monotonic() + WITHIN
    keepers = _keepers()
    while left := _living(keys := {name: _keys_of(client, name, customer) for name in keepers}):
        if time.monotonic() > until:
            fail(
                f"{', '.join(left)} has not destroyed its key yet; it does as soon as it hears of it. "
                f"What keeps it: ./sliceline status. Whether it has: ./sliceline forget {customer}"
            )
        time.sleep(0.2)
    _say(f"The customer '{customer}' is forgotten: the keys of {', '.join(filter(keys.get, keys))} are destroyed.")
    _say("Who has read one remembers it for five seconds at most.")


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
