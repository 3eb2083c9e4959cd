"""./sliceline restart: end one process gently and let it start anew."""

import time
from typing import Annotated

import typer

from cli.console import console, fail
from cli.running import Shop, compose, running_shop
from local import HOME, processes, state
from local.state import Row
from services import CATALOGUE

# They end what they have in hand; then they are killed, which is safe as well.
END_SECONDS = 15.0
# The pause before a start grows when it is asked for often.
READY_SECONDS = 90.0
SERVERS = ("postgres", "kafka", "tables")


def restart(
    service: Annotated[str, typer.Argument(help="A service, or provider, mail, robot.")],
) -> None:
    """Restart one process, for example to run changed code; the others go on. Returns when it is ready again."""
    shop = running_shop()
    if shop.in_containers:
        compose("restart", service)
    before = _known(shop, service)
    with console.status(f"Restarting {service} …"):
        processes.end([identity] if (identity := before.identity()) else [], grace=END_SECONDS)
        after = _until_ready(before)
    console.print(f"{service} is ready again (pid {after.pid}).", highlight=False)


def _known(shop: Shop, service: str) -> Row:
    there = {name: row for name, row in shop.rows.items() if name not in SERVERS}
    if service in CATALOGUE and service not in there:
        fail(f"{service} is new here: ./sliceline down && ./sliceline up starts it with the others.", code=2)
    if service not in there:
        fail(f"There is nothing called '{service}' to restart. There are: {', '.join(there)}.", code=2)
    return there[service]


def _until_ready(before: Row) -> Row:
    deadline = time.monotonic() + READY_SECONDS
    while (row := _row(before.name)).state != "ready" or row.identity() in (None, before.identity()):
        if time.monotonic() > deadline:
            fail(f"{before.name} is not ready after {READY_SECONDS:.0f} s. See: ./sliceline logs {before.name}")
        time.sleep(0.1)
    return row


def _row(name: str) -> Row:
    now = state.read(HOME)
    if now is None or not state.is_running(HOME):
        fail("Sliceline was stopped meanwhile.")
    return now.rows[name]
