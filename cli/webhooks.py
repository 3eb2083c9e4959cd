"""./sliceline webhooks: receive the shop's webhooks here, and look at them."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.answers import answer_of, everything
from cli.console import console, fail
from cli.ending import ended_gently
from cli.running import address_of, running_shop
from local.layout import layout_for
from local.ports import HOST

if TYPE_CHECKING:
    import httpx

LARGEST = 1024 * 1024
PING = "sliceline.webhooks.ping.v1"
OURS = "./sliceline webhooks listen"
"""The description of the endpoints that are made here, by which one that was left behind is known."""
ANOTHER = "SLICELINE_WEBHOOK_PORTS=80,443,PORT ./sliceline up, then --port PORT"
_TYPES = re.compile(r"(\*|sliceline\.)[a-z0-9.*-]*")


class Action(StrEnum):
    """Names what can be done."""

    LISTEN = "listen"


def webhooks(
    action: Annotated[Action, typer.Argument(metavar="listen", help="What to do.")],  # noqa: ARG001  there is one
    events: Annotated[
        str, typer.Option("--events", help="Which events: types, or 'sliceline.orders.*', commas.")
    ] = "*",
    ordered: Annotated[bool, typer.Option("--ordered", help="Have events of one key in their order.")] = False,
    answer: Annotated[int, typer.Option("--answer", min=200, max=599, help="The status to answer with.")] = 200,
    secret: Annotated[str, typer.Option("--secret", help="Make no endpoint: check webhooks by this secret.")] = "",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where; 0: where up lets it be called.")] = 0,
) -> None:
    """Make an endpoint in the running shop, and print each webhook that comes, until Ctrl-C deletes it again."""
    wanted, receiver = _types(events), Receiver(answer, secret)
    try:
        with ended_gently(), serving(receiver, port or _usual_port()) as address:
            if secret:
                console.print(f"Listening at {address}", highlight=False)
                threading.Event().wait()
            with _endpoint(receiver, address, wanted, ordered):
                threading.Event().wait()
    except KeyboardInterrupt:
        console.print(f"\n{receiver.came} webhooks came.", highlight=False)


def _types(events: str) -> list[str]:
    """Read what `--events` names; end the command when no event can be of such a type."""
    named = [each.strip() for each in events.split(",")]
    for each in named:
        if not _TYPES.fullmatch(each) or "**" in each:
            fail(
                f"--events takes types such as sliceline.orders.order-placed.v1 or 'sliceline.orders.*', not {each!r}.",
                2,
            )
    return named


class Receiver:
    """Answers webhooks, and prints what they are."""

    def __init__(self, status: int, secret: str) -> None:
        self.secret = secret
        self.came = 0
        self._status = status
        self._seen: set[str] = set()
        self._one_by_one = threading.Lock()

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Print a webhook and return what it is answered: a ping its challenge, anything else the chosen status."""
        try:
            said = json.loads(body)
        except ValueError:
            console.print(f"no JSON: {body[:200]!r}", style="red", markup=False)
            return 400, b"This is no JSON.\n"
        event = said if isinstance(said, dict) else {}
        if event.get("type") == PING:
            console.print("ping: the challenge is sent back", highlight=False)
            return 200, str(event["data"]["challenge"]).encode()
        with self._one_by_one:
            self._tell(event, headers, body)
        return self._status, b""

    def _tell(self, event: dict[str, Any], headers: dict[str, str], body: bytes) -> None:
        name = headers.get("webhook-id", "")
        again = " again" if name in self._seen else ""
        self._seen.add(name)
        self.came += 1
        said = f"{event['type']} of {event.get('subject')}" if "type" in event else "what a rule made of an event"
        signature = self._signature(headers, body)
        console.print(
            f"{time.strftime('%H:%M:%S')}  {said}{again}: {signature}, answered {self._status}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        console.print_json(json.dumps(event.get("data")) if "data" in event else body.decode())

    def _signature(self, headers: dict[str, str], body: bytes) -> str:
        from services.webhooks.signing import WrongSignature, check

        if not self.secret:
            return "signature not checked"
        try:
            check(headers, body, self.secret)
        except WrongSignature as wrong:
            return f"WRONG SIGNATURE ({wrong})"
        return "signature right"


@contextmanager
def serving(receiver: Receiver, port: int) -> Iterator[str]:
    """Answer webhooks at a port, any with 0, for as long as the block runs; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_POST(self) -> None:
            given = self.headers.get("Content-Length", "")
            length = int(given) if given.isascii() and given.isdecimal() else LARGEST + 1
            if length > LARGEST:
                self.send_error(413)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body = receiver.take(headers, self.rfile.read(length))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing: what came is printed already."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        fail(f"Nothing can listen at {HOST}:{port}: {error}. Free it, or have the shop call another one: {ANOTHER}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _endpoint(receiver: Receiver, address: str, events: list[str], ordered: bool) -> Iterator[None]:
    """Have an endpoint in the running shop for as long as the block runs."""
    import httpx

    from cli.asking import client_of

    with client_of(address_of("webhooks"), timeout=30) as client:
        try:
            for left in _delete_ours(client, address):
                console.print(f"Endpoint {left}, which a killed listener has left, is deleted.", highlight=False)
            made = answer_of(client.post("/endpoints", json=_wanted(address, events, ordered)))
            receiver.secret = made["secret"]
            console.print(f"Endpoint {made['id']} leads to {address}; Ctrl-C deletes it.", highlight=False)
            yield
        except httpx.HTTPError as error:
            fail(f"The webhooks service does not answer ({error}). See: ./sliceline status")
        finally:  # whoever is interrupted while the endpoint is made does not know its id
            with suppress(httpx.HTTPError):
                _delete_ours(client, address)


def _wanted(address: str, events: list[str], ordered: bool) -> dict[str, Any]:
    pattern = {"type": [{"wildcard": each} for each in events]}
    return {"url": address, "pattern": pattern, "ordered": ordered, "description": OURS}


def _delete_ours(client: "httpx.Client", address: str) -> list[str]:
    """Delete the endpoints that listeners have made for this address, where nobody else listens; return their ids."""
    ours = [
        each["id"] for each in everything(client, "/endpoints") if (each["url"], each["description"]) == (address, OURS)
    ]
    for each in ours:
        client.delete(f"/endpoints/{each}")
    return ours


def _usual_port() -> int:
    return layout_for(running_shop().port_offset).listener
