"""./sliceline chaos: let things go wrong on purpose, and see that nothing is lost or done twice."""

import os
import sys
from typing import Annotated

import typer

from local import ROOT


def chaos(
    seed: Annotated[int | None, typer.Option(help="Draws faults and customers: the same seed, the same run.")] = None,
    minutes: Annotated[float, typer.Option(help="For how long faults strike.")] = 1.5,
    orders: Annotated[int | None, typer.Option(help="How many are placed; 330 a minute by default.")] = None,
    kinds: Annotated[
        str | None, typer.Option(help="Which faults, with commas between; all by default from five minutes on.")
    ] = None,
    build: Annotated[
        str | None, typer.Option(help="The commit that `rolling` runs beside this one; by default the last release.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Run a shop of its own under load while faults strike, then check every promise; 1 when one is broken.

    The history of what customers were told, and all logs, are kept in .sliceline/chaos/SEED. It needs the tests'
    libraries and no running shop.
    """
    given = {"--seed": seed, "--minutes": minutes, "--orders": orders, "--kinds": kinds, "--build": build}
    told = [f"{name}={value}" for name, value in given.items() if value is not None]
    command = [sys.executable, "-P", "-m", "tests.faults", *told, *(["--json"] if json else [])]
    os.chdir(ROOT)
    os.execv(sys.executable, command)  # noqa: S606 (our command)
