"""./sliceline up: start everything, on this machine, without Docker."""

import asyncio
import os
import subprocess
import time
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import console, fail
from deployment import AUTH, CA_FILE, OLD_EVENTS, OLD_EVENTS_CHOICES
from deployment.people import CONSOLE
from local import ROOT, state
from local.layout import HIGHEST_OFFSET, Layout, layout_for
from local.program import last_lines, python
from services import CATALOGUE

if TYPE_CHECKING:
    from cli.display import Display


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when all is ready, leave it running.")] = False,
    port_offset: Annotated[
        int | None,
        typer.Option(
            min=0, max=HIGHEST_OFFSET, show_default="0", help="Added to every port, when the usual ones are taken."
        ),
    ] = None,
    robot: Annotated[
        bool,
        typer.Option("--robot/--no-robot", help="Whether a robot presses the kitchen's and courier's buttons."),
    ] = True,
    robot_delay: Annotated[
        float,
        typer.Option(min=0, max=3600, metavar="SECONDS", help="How long the robot takes for each step."),
    ] = 5.0,
    old_events: Annotated[
        str | None,
        typer.Option(
            envvar=OLD_EVENTS,
            metavar="read|skip",
            help="Where tables are older than the topics, or new: read all events, or skip to the newest.",
        ),
    ] = None,
) -> None:
    """Start everything: Postgres, Kafka, the sandbox and every service. Ctrl-C stops it.

    Data is kept under .sliceline/ and found again by the next start. With SLICELINE_POSTGRES_URL (a superuser's
    address) or SLICELINE_KAFKA (host:port) set, those servers are used instead of starting our own. Nobody gets in
    without a token: of the identity provider that is started as well (./sliceline token prints one), or of the issuer
    that SLICELINE_ISSUER names. For trying things out, SLICELINE_AUTH=off lets everybody on this machine do everything.
    """
    if old_events not in (None, *OLD_EVENTS_CHOICES):
        fail(f"--old-events takes {' or '.join(OLD_EVENTS_CHOICES)}, not {old_events}.", code=2)
    if (auth := os.environ.get(AUTH, "on")) not in ("on", "off"):
        fail(f"{AUTH} takes on or off, not {auth}.", code=2)
    if auth == "off" and os.environ.get("SLICELINE_ISSUER"):
        fail(f"{AUTH}=off asks nobody for a token, and SLICELINE_ISSUER says who gives them: leave one out.", code=2)
    if os.environ.get(CA_FILE) and not os.environ.get("SLICELINE_POSTGRES_URL"):
        fail(f"{CA_FILE} tells by whom the Postgres of SLICELINE_POSTGRES_URL is known: tell both, or neither.", code=2)
    if old_events:
        os.environ[OLD_EVENTS] = old_events  # migrate is told by it, in whatever process it runs
    layout = layout_for(port_offset or 0)
    delay = robot_delay if robot else None
    if state.is_running(layout.home):
        _say_running(layout, asked=port_offset)
    elif detach:
        _in_background(layout, delay)
    else:
        _in_foreground(layout, delay)


def _say_running(layout: Layout, asked: int | None = None) -> None:
    """Say where the shop is; end the command when that is not at the offset that was `asked` for."""
    from cli.display import addresses

    now = state.read(layout.home)
    if now is None or now.phase not in (state.RUNNING, state.STARTING):
        fail("Another `up` is just starting or stopping. Try again in a moment, or see ./sliceline status.")
    if asked not in (None, now.port_offset):
        fail(
            f"Sliceline is running already, with --port-offset {now.port_offset}, and cannot be moved while it runs. "
            f"Stop it first: ./sliceline down && ./sliceline up --port-offset {asked}"
        )
    pid = now.supervisor.pid
    console.print(f"Sliceline is running already (pid {pid}); ./sliceline down stops it.\n", highlight=False)
    console.print(addresses(now))
    if new := [name for name in CATALOGUE if name not in now.rows]:
        console.print(f"\n{', '.join(new)} came later: ./sliceline down && ./sliceline up starts all.", highlight=False)


def _in_foreground(layout: Layout, delay: float | None) -> None:
    from cli.boot import CannotStart

    try:
        with state.hold(layout.home):
            asyncio.run(_run(layout, delay))
    except state.AlreadyRunning:
        _say_running(layout)
    except CannotStart as error:
        fail(str(error))
    console.print("Stopped. Data is kept; ./sliceline up finds it again.")


async def _run(layout: Layout, delay: float | None) -> None:
    from cli.boot import Run
    from cli.display import Display

    run = Run(layout, delay)
    with Display(console, hint="Ctrl-C stops everything; the data is kept.", look=_look) as display:
        showing = asyncio.create_task(_show(run.state, display))
        try:
            await run.until_stopped()
        finally:
            display.show(run.state)
            showing.cancel()


def _look(now: state.State) -> str:
    """Say where the shop is in a browser, with an address that is logged in where the issuer is the sandbox's."""
    from cli.browse import entrance
    from cli.login import NotLetIn
    from cli.running import Shop

    row = now.rows.get(CONSOLE)
    address = row.address if row else ""
    try:
        url = entrance(Shop(now.phase, now.rows, now.port_offset), address, "admin")
    except NotLetIn:
        return "See the shop in a browser:  ./sliceline browse"
    how = "" if url == f"{address}/" else ", logged in by this address, once (./sliceline browse gives another)"
    return f"See the shop in a browser{how}:\n\n  {url}"


async def _show(now: state.State, display: "Display") -> None:
    while True:
        display.show(now)
        await asyncio.sleep(0.1)


def _in_background(layout: Layout, delay: float | None) -> None:
    from cli.display import Display

    process = _start_supervisor(layout, delay)
    try:
        hint = "It goes on in the background: ./sliceline status, logs SERVICE, down."
        with Display(console, hint, _look) as display:
            now = _follow(layout, process, display)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        fail("Stopped before everything was ready.")
    if now is None and process.returncode == 0:
        _say_running(layout)  # somebody else's `up` was faster
    elif now is None or now.phase != state.RUNNING:
        said = "\n".join(last_lines(layout.logs / "up.log", 20))
        fail(now.error if now and now.error else f"It ended before everything was ready.\n{said}")


def _start_supervisor(layout: Layout, delay: float | None) -> "subprocess.Popen[bytes]":
    robot = ["--no-robot"] if delay is None else ["--robot-delay", str(delay)]
    command = python("-m", "cli", "up", "--port-offset", str(layout.offset), *robot)
    layout.logs.mkdir(parents=True, exist_ok=True)
    with (layout.logs / "up.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 (our command)
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=ROOT
        )


def _follow(layout: Layout, process: "subprocess.Popen[bytes]", display: "Display") -> state.State | None:
    """Show the background run until it is ready or has ended."""
    while True:
        ended = process.poll() is not None
        now = state.read(layout.home)
        ours = now if now and now.supervisor.pid == process.pid else None
        if ours:
            display.show(ours)
        if ended or (ours and ours.phase == state.RUNNING):
            return ours
        time.sleep(0.1)
