"""Runs the command line; `./sliceline --help` lists the commands."""

from typing import Annotated, Any

import typer

from backbone.version import VERSION
from cli.audit import audit
from cli.balance import balance
from cli.bench import bench
from cli.browse import browse
from cli.chaos import chaos
from cli.contracts import contracts
from cli.dead_letters import dead_letters
from cli.discard import discard
from cli.down import down
from cli.events import events
from cli.export import export
from cli.forget import forget
from cli.heal import heal
from cli.logs import logs
from cli.new import new
from cli.order import order
from cli.outline import INTRODUCTION
from cli.pause import pause
from cli.psql import psql
from cli.redrive import redrive
from cli.replay import replay
from cli.reread import reread
from cli.reset import reset
from cli.restart import restart
from cli.resume import resume
from cli.rotate import rotate
from cli.seed import seed
from cli.several import SeveralWords
from cli.status import status
from cli.test import test
from cli.token import token
from cli.up import up
from cli.webhooks import webhooks
from cli.why import why

PASS_ON: dict[str, Any] = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "help_option_names": ["--help"],
}

app = typer.Typer(
    name="sliceline",
    help=INTRODUCTION,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
ON_THE_SHOP = (
    up,
    down,
    restart,
    status,
    logs,
    events,
    export,
    psql,
    order,
    browse,
    why,
    balance,
    audit,
    seed,
    webhooks,
    redrive,
    reread,
    discard,
    pause,
    resume,
    heal,
    dead_letters,
    forget,
    rotate,
    token,
    reset,
)
for command in (*ON_THE_SHOP, contracts, bench, chaos):
    app.command()(command)
app.command(cls=SeveralWords)(new)
app.command(cls=SeveralWords)(replay)
app.command(context_settings=PASS_ON)(test)


def tell_version(asked: bool) -> None:
    if asked:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", help="Tell the version.", is_eager=True, callback=tell_version)
    ] = False,
) -> None:
    """Take what concerns no command."""


if __name__ == "__main__":
    app(prog_name="./sliceline")
