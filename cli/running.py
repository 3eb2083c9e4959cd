"""The run that the other commands talk to."""

from cli.console import fail
from local import HOME, state
from services import CATALOGUE


def running_state() -> state.State:
    """The state of the run that is up; ends the command with advice when there is none."""
    now = state.read(HOME) if state.is_running(HOME) else None
    if now is None:
        fail("Sliceline is not running. Start it with: ./sliceline up")
    return now


def address_of(service: str) -> str:
    """Where a service of the run that is up answers HTTP."""
    known_service(service)
    row = running_state().rows.get(service)
    if row is None or not row.address:
        fail(f"{service} is not there yet. See how far it is: ./sliceline status")
    return row.address


def known_service(service: str) -> None:
    if service not in CATALOGUE:
        fail(f"There is no service '{service}'. There are: {', '.join(CATALOGUE)}.", code=2)
