"""./sliceline heal: bring services level with the archive, after a database or a Kafka was lost."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import console, fail
from cli.ending import ended_gently
from cli.moments import moment_of
from cli.running import find, known_service
from local import HOME, ROOT, state
from services import CATALOGUE

if TYPE_CHECKING:
    from cli.feeding import Ends

ARCHIVE = "ledger"
PAUSE = "It is fed what it missed: ./sliceline heal"
"""The reason of its pauses, by which one that an earlier heal left behind is known."""
SETTLED = 6.0
"""Seconds after which the archive has noticed what it has not read yet."""
LEVEL_WITHIN = 120.0


def heal(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Which; all by default.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Only what happened since: the backup's time, or before."),
    ] = None,
) -> None:
    """Bring services level with the archive: for a database from an older backup, or topics that were lost.

    A shop that does not run is started as it last was, with readers at the newest event (--old-events skip). Each
    service then counts on from the last events that it has published, and is fed all that it missed. It is harmless
    when nothing is wrong, and may be repeated.
    """
    from cli.feeding import ends

    begin = moment_of("--since", since) if since else None

    chosen = services or [name for name in CATALOGUE if name != ARCHIVE]
    for name in chosen:
        known_service(name)
    if ARCHIVE in chosen:
        fail(
            "The ledger is what the others are healed from; it reads what the topics hold: ./sliceline reread ledger",
            code=2,
        )
    with ended_gently():
        if find() is None:
            _start()
        for at, name in enumerate(chosen):
            with ends(name) as both, _paused(both):
                if at == 0:
                    _until_level(both)
                _say(name, _count_on(both), _feed(both, begin))


def _start() -> None:
    console.print("The shop does not run. It is started, with readers at the newest event.")
    command = [str(ROOT / "sliceline"), "up", "--detach", "--old-events", "skip", *_as_last_time()]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 (our own command)
        fail("It did not start. See: ./sliceline logs")


def _as_last_time() -> list[str]:
    """Return the options that give the shop the ports that it had, and the robot if it had one."""
    last = state.read(HOME)
    if last is None:
        return []
    had_no_robot = last.rows and "robot" not in last.rows  # no rows: it was not even begun
    return ["--port-offset", str(last.port_offset), *(["--no-robot"] if had_no_robot else [])]


@contextmanager
def _paused(both: "Ends") -> Iterator[None]:
    """Have the consumer wait, so that what it missed comes before what is new.

    One that somebody else has paused stays so. One that a heal has paused which could not end goes on afterwards.
    """
    pause = None
    try:
        pause = both.pause(PAUSE) or both.paused_for(PAUSE)
        yield
    except KeyboardInterrupt:
        fail(f"Stopped while it healed {both.name}. What was applied stays; the same command goes on.", code=130)
    finally:
        if pause is not None:
            both.resume(pause)


def _until_level(both: "Ends") -> None:
    """Wait until the archive has all that the topics hold: what comes later reaches the services by themselves."""
    console.print("Waiting until the ledger has read all that the topics hold.")
    time.sleep(SETTLED)
    until = time.monotonic() + LEVEL_WITHIN
    while lag := both.lag():
        if time.monotonic() > until:
            fail(f"The ledger is still {lag:,} events behind. Heal when it is level: ./sliceline status")
        time.sleep(1)


def _count_on(both: "Ends") -> int:
    """Have a service count on from the last events of its that the archive has; return for how many keys it had to."""
    return sum(both.count_on(page) for page in both.sequences())


def _feed(both: "Ends", since: str | None) -> "Counter[str]":
    """Feed a service all that it reads, and that its inbox can tell of where nobody says since when."""
    from cli.feeding import Wanted
    from cli.replay import fed

    readable = both.readable()
    if not readable["types"] and not readable["topics"]:
        return Counter()
    begin = since or readable["remembers_since"]
    wanted = Wanted(both.name, tuple(readable["types"]), tuple(readable["topics"]), begin)
    return fed(both, wanted, apply=True)


def _say(name: str, behind: int, outcomes: "Counter[str]") -> None:
    counted = f"; counts on for {behind:,} keys whose events it had published" if behind else ""
    parked = f"; {outcomes['parked']:,} wait for one that cannot be handled" if outcomes["parked"] else ""
    left = f"; {outcomes['forgotten']:,} older than its inbox's memory left out" if outcomes["forgotten"] else ""
    told = (
        f"{name}: {outcomes['applied']:,} missed events applied, {outcomes['known']:,} had been{counted}{parked}{left}."
    )
    console.print(told, highlight=False, soft_wrap=True)
