"""What somebody is told to type is a command there is, with the arguments that it takes."""

import inspect
import re
import shlex

import pytest
from typer.main import get_group
from typer.testing import CliRunner

from cli.__main__ import app
from services.ledger import links
from services.ledger.links import Broken
from services.ledger.standing import Job, Letter, LogBreak, Outbox, Pause, Refused, Standing
from tests.unit.test_ledger_why import NOW, ORDER, PARKED, job

BARE = Letter(id=7, topic="orders.events", partition=3, offset=1, key="o-1", discarded_by="ann", reason="no")
REFUSED = Standing(refused=[Refused("sliceline.payments.payment-received.v1", "o-1", "too large", NOW)])
PAUSES = [Pause("consumer", "payments"), Pause("key", "o-1"), Pause("job", "charge")]


def _undone(**more: object) -> Broken:
    standing = job("charge", **more)
    [undone] = standing.jobs
    assert isinstance(undone, Job)
    return links.undone("payments", undone, NOW, standing)


BROKEN = {
    "ended": [links.ended("orders.order-completed", ORDER)],
    "silent": [links.silent("payments")],
    "paused": [links.paused("payments", each) for each in PAUSES],
    "parked": [links.parked("payments", ORDER, each, PARKED) for each in (PARKED, BARE)],
    "discarded": [links.discarded("payments", ORDER, BARE)],
    "behind": [links.behind("payments", ORDER, 0)],
    "skipped": [links.skipped("payments", LogBreak("orders.events", "cut back"))],
    "refused": [links.refused("payments", "payments.payment-received", REFUSED)],
    "unpublished": [links.unpublished("payments", Standing(outbox=Outbox(3, NOW)))],
    "undone": [_undone(parked_at=NOW), _undone(error="503"), _undone()],
    "unpressed": [links.unpressed("kitchen", "kitchen.pizza-baked", "http://127.0.0.1:8004", "/tickets/o-1/baked")],
    "otherwise": [links.otherwise("payments", "payments.payment-received", [ORDER])],
    "unknown": [links.unknown("payments", "payments.payment-received", [ORDER])],
    "unarchived": [links.unarchived("orders.order-placed", pause) for pause in (None, PAUSES[0])],
}
COMMANDS = sorted({each.command for some in BROKEN.values() for each in some if each.command})


def test_every_kind_of_broken_link_is_looked_at_here() -> None:
    """Whoever adds one adds it above, and so has its command checked."""
    making = inspect.getmembers(links, lambda member: inspect.isfunction(member) and _makes_one(member))
    assert {name for name, _ in making} == BROKEN.keys()


def _makes_one(function: object) -> bool:
    return inspect.signature(function).return_annotation is Broken  # type: ignore[arg-type]


@pytest.mark.parametrize("command", [each for each in COMMANDS if not each.startswith("curl ")])
def test_a_command_that_mends_a_link_is_one_that_there_is(command: str) -> None:
    _parse(command)


def test_a_service_that_is_no_read_model_is_not_rebuilt_and_what_to_do_instead_is_said() -> None:
    said = CliRunner().invoke(app, ["replay", "--to", "payments", "--shadow"])
    assert (said.exit_code, "payments has jobs: " in said.output) == (1, True)
    assert "can be rebuilt: loyalty.\n" in said.output
    commands = re.findall(r"\./sliceline .*", said.output)
    assert len(commands) == 2
    for each in commands:
        _parse(each)


def _parse(command: str) -> None:
    """Fails where there is no such command, or it takes no such arguments."""
    program, name, *arguments = shlex.split(command)
    assert program == "./sliceline"
    group = get_group(app)
    found = group.commands[name]
    found.make_context(name, arguments, parent=group.make_context("./sliceline", [], resilient_parsing=True))
