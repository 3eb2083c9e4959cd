"""./sliceline order: place an order, and watch it travel."""

import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import console, fail
from cli.running import address_of

if TYPE_CHECKING:
    import httpx

ENDINGS = {"completed": "green", "rejected": "red", "cancelled": "yellow"}


def order(
    items: Annotated[list[str], typer.Argument(metavar="ITEM[:QUANTITY]…", help="For example margherita:2 mcguffin.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print its timeline until it has ended.")] = False,
    customer: Annotated[str, typer.Option(help="Who orders: their id and, with @example.com, their mail.")] = "ada",
    collection: Annotated[bool, typer.Option("--collection", help="To be collected; else it is delivered.")] = False,
) -> None:
    """Place an order with the system that is up. What there is: GET /menu of the orders service."""
    import httpx

    from cli.asking import client_of, for_curl

    lines = [parse_line(item) for item in items]
    address = address_of("orders")
    with client_of(address, timeout=30) as client:
        try:
            placed = _place(client, _body(lines, customer, collection))
            console.print(f"Order {placed['id']}: {placed['status']}", highlight=False)
            if follow:
                _follow(client, placed["id"])
            else:
                console.print(f"Follow it: curl -N {for_curl()}{address}/orders/{placed['id']}/stream", highlight=False)
        except httpx.HTTPError as error:
            fail(f"The orders service does not answer ({str(error) or type(error).__name__}). See: ./sliceline status")


def parse_line(text: str) -> dict[str, Any]:
    """Read `item` or `item:quantity` as an order line; end the command when the quantity is no positive number."""
    item, colon, quantity = text.partition(":")
    if not item or (colon and not (quantity.isascii() and quantity.isdecimal() and int(quantity) > 0)):
        fail(
            f"'{text}' is not ITEM or ITEM:QUANTITY with a quantity of at least 1, such as margherita:2.",
            code=2,
        )
    return {"item": item, "quantity": int(quantity) if colon else 1}


def _body(lines: list[dict[str, Any]], customer: str, collection: bool) -> dict[str, Any]:
    who = {"id": customer, "name": customer.capitalize(), "email": f"{customer}@example.com"}
    where = {"fulfilment": "collection"} if collection else {"fulfilment": "delivery", "address": "1 Mill Lane"}
    return {"customer": who, "currency": "GBP", "lines": lines, **where}


def _place(client: "httpx.Client", body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/orders", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
    if answer.is_error:
        fail(explain(answer.status_code, answer.content))
    placed: dict[str, Any] = answer.json()
    return placed


def explain(status: int, body: bytes) -> str:
    """Put problem details (RFC 9457) into words: what is wrong with which field."""
    try:
        problem = json.loads(body)
        lines = [f"The order was refused ({status}): {problem.get('detail') or problem.get('title')}"]
        lines += [f"  {error['field']}: {error['message']}" for error in problem.get("errors", [])]
    except (ValueError, AttributeError, KeyError, TypeError):
        return f"The order was refused ({status}): {body.decode(errors='replace')[:500]}"
    return "\n".join(lines)


def _follow(client: "httpx.Client", order_id: str) -> None:
    from cli.asking import for_curl

    look = f"curl {for_curl()}{str(client.base_url).rstrip('/')}/orders/{order_id}"
    try:
        ended = _print_timeline(_documents(client, order_id))
    except KeyboardInterrupt:
        console.print(f"\nThe order goes on: {look}", highlight=False)
        return
    if not ended:
        fail(f"The stream ended before the order did. See: {look}")


def _print_timeline(documents: Iterator[dict[str, Any]]) -> bool:
    """Print what is new in each document, and how the order ended; return False while it has not ended."""
    document: dict[str, Any] = {"timeline": [], "status": None}
    for newer in documents:
        for entry in newer["timeline"][len(document["timeline"]) :]:
            _print_entry(entry)
        document = newer
    if document["status"] not in ENDINGS:
        return False
    reason = f": {document['reason']}" if document.get("reason") else ""
    console.print(f"{document['status']}{reason}", style=ENDINGS[document["status"]], markup=False)
    return True


def _documents(client: "httpx.Client", order_id: str) -> Iterator[dict[str, Any]]:
    """Yield the order as it changes, from the server-sent events of its stream."""
    with client.stream("GET", f"/orders/{order_id}/stream", timeout=None) as answer:
        if answer.is_error:
            fail(explain(answer.status_code, answer.read()))
        data: list[str] = []
        for line in answer.iter_lines():
            if line.startswith("data:"):
                data.append(line.removeprefix("data:").removeprefix(" "))
            elif not line and data:
                yield json.loads("\n".join(data))
                data = []


def _print_entry(entry: dict[str, Any]) -> None:
    clock = str(entry["at"])[11:19]
    text = entry.get("text") or entry.get("event") or ""
    console.print(f"  {clock}  {entry['status']:<11} {text}", highlight=False, markup=False)
