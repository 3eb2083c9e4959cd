import os
from pathlib import Path

import pytest

from local import state
from local.processes import Identity, end, find, identity_of
from local.state import Row, State


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = {"kafka": Row("kafka", "ready", address="127.0.0.1:19092", pid=7, started=1.5, restarts=2)}
    written = State(state.RUNNING, Identity(5, 2.5), port_offset=1000, rows=rows)
    state.write(tmp_path, written)
    assert state.read(tmp_path) == written
    assert written.leftovers() == [Identity(7, 1.5)]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"rows": {"x": {"colour": "red"}}}', "null"])
def test_a_state_that_cannot_be_read_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    assert state.read(tmp_path) is None


def test_only_one_supervisor_holds_a_directory(tmp_path: Path) -> None:
    assert not state.is_running(tmp_path)
    with state.hold(tmp_path):
        assert state.is_running(tmp_path)
        with pytest.raises(state.AlreadyRunning), state.hold(tmp_path):
            pass
    assert not state.is_running(tmp_path)


def test_a_pid_that_was_given_to_another_process_is_not_ours() -> None:
    ours = identity_of(os.getpid())
    another = Identity(ours.pid, ours.started - 100)
    assert find(ours) is not None
    assert find(another) is None
    assert end([another]) == 0
