"""./sliceline down: stop what `up` started."""

from cli.console import console, fail
from cli.running import find
from local import HOME, processes, state

# Every program has its own deadline, after which it is killed; this is longer than all of them.
STOP_SECONDS = 120.0


def down() -> None:
    """Stop everything that `up` started. Data is kept."""
    now = state.read(HOME)
    if state.is_running(HOME):
        _stop_supervisor(now)
    elif now and (ended := processes.end(now.leftovers())):
        console.print(f"Ended {ended} processes that a killed `up` had left behind. Data is kept.", highlight=False)
    elif (shop := find()) and shop.in_containers:
        fail("Sliceline runs in containers, or from another folder. For containers: docker compose down")
    else:
        console.print("Sliceline is not running.")


def _stop_supervisor(now: state.State | None) -> None:
    found = processes.find(now.supervisor) if now else None
    if now is None or found is None:
        fail("An `up` is just starting or stopping. Try again in a moment.")
    with console.status("Stopping …"):
        found.terminate()
        if not processes.wait_for_end(now.supervisor, STOP_SECONDS):
            fail(f"It has not stopped within {STOP_SECONDS:.0f} s; see ./sliceline status.")
    console.print("Stopped. Data is kept; ./sliceline up finds it again.")
