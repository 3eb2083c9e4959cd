"""What `./sliceline up` says beside a shop that runs already."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli import up
from cli.__main__ import app
from cli.boot import OPEN, Run
from cli.display import Display
from local import state
from local.layout import Layout
from local.processes import identity_of
from local.program import Program, python


@pytest.fixture(params=[0, 1000])
def running_at(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The offset of the ports of the shop that runs."""
    offset = int(request.param)
    monkeypatch.setattr("cli.up.layout_for", lambda offset: Layout(offset, None, None, tmp_path))
    monkeypatch.setattr("cli.up._in_foreground", lambda *_: pytest.fail("a second shop was started"))
    with state.hold(tmp_path):
        row = state.Row("orders", "ready", address=f"http://127.0.0.1:{8001 + offset}")
        state.write(tmp_path, state.State(state.RUNNING, identity_of(os.getpid()), offset, rows={"orders": row}))
        yield offset


def test_up_refuses_to_move_a_running_shop(running_at: int) -> None:
    asked = CliRunner().invoke(app, ["up", "--port-offset", "5000"])
    assert asked.exit_code == 1
    assert f"--port-offset {running_at}," in asked.output
    assert "./sliceline down && ./sliceline up --port-offset 5000" in asked.output


def test_up_in_the_background_refuses_to_move_a_running_shop(running_at: int) -> None:
    asked = CliRunner().invoke(app, ["up", "--detach", "--port-offset", str(1000 - running_at)])
    assert (asked.exit_code, f"--port-offset {running_at}," in asked.output) == (1, True)


@pytest.mark.parametrize("given", [[], ["same"]])
def test_up_shows_a_running_shop_where_it_is(running_at: int, given: list[str]) -> None:
    asked = CliRunner().invoke(app, ["up", *(["--port-offset", str(running_at)] if given else [])])
    assert asked.exit_code == 0
    assert str(8001 + running_at) in asked.output


async def test_what_a_step_wants_to_be_read_is_shown_also_when_all_went_well(tmp_path: Path) -> None:
    """As a migration's word that the tables are ahead of the code."""
    layout = Layout(0, None, None, tmp_path)
    run = Run(layout, None)
    run.state.rows = {name: state.Row(name, "ready", address="http://127.0.0.1") for name in ("tables", "orders")}
    command = python("-c", "print('tables of orders'); print('note: the tables of orders are ahead')")
    await run._step(Program("tables", command))
    assert run.state.notes == ["the tables of orders are ahead"]
    run.state.phase = state.RUNNING
    shown = io.StringIO()
    Display(Console(file=shown, width=100), hint="").show(run.state)
    assert "\nthe tables of orders are ahead\n" in shown.getvalue()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"SLICELINE_DATABASE_CA_FILE": "ca.pem"}, "tell both, or neither"),
        ({"SLICELINE_AUTH": "none"}, "SLICELINE_AUTH takes on or off, not none."),
        ({"SLICELINE_AUTH": "off", "SLICELINE_ISSUER": "https://id.example.com"}, "leave one out"),
    ],
)
def test_up_does_not_guess_what_it_was_told(told: dict[str, str], said: str) -> None:
    refused = CliRunner().invoke(app, ["up"], env=told)
    assert (refused.exit_code, said in " ".join(refused.output.split())) == (2, True), refused.output


@pytest.mark.parametrize("has_doors", [True, False])
async def test_open_doors_are_said_aloud_and_closed_ones_are_usual(has_doors: bool, tmp_path: Path) -> None:
    run = Run(Layout(0, None, None, tmp_path, has_doors=has_doors), None)
    assert run.state.notes == ([] if has_doors else [OPEN])
    assert Layout() == Layout(has_doors=True)


def test_an_address_is_said_to_log_in_only_where_the_issuer_is_our_own() -> None:
    row = state.Row("console", "ready", address="http://127.0.0.1:8000")
    now = state.State(state.RUNNING, identity_of(os.getpid()), issuer="http://issuer.example", rows={"console": row})
    assert up._look(now) == "See the shop in a browser:\n\n  http://127.0.0.1:8000/"
