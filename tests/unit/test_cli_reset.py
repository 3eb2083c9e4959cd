"""`./sliceline reset` deletes what is the shop's, and says what it keeps."""

from pathlib import Path

import pytest

from cli import reset

SHOPS = ("postgres", "passwords", "kafka", "objects", "logs", "containers")


def test_what_is_the_shops_is_deleted_and_what_is_kept_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / ".sliceline"
    monkeypatch.setattr(reset, "HOME", home)
    for name in (*SHOPS, "identity", "fulfilment"):
        (home / name).mkdir(parents=True)
    for name in ("master-key", "state.json", "kafka-classes"):
        (home / name).touch()
    reset.reset(yes=True)
    assert {path.name for path in home.iterdir()} == {"identity", "fulfilment", "kafka-classes", "supervisor.lock"}
    assert capsys.readouterr().out.splitlines() == [
        "The shop's data is deleted. ./sliceline up begins anew.",
        "Kept: the passwords of people and the keys of programs (.sliceline/identity).",
        "Kept: the database of fulfilment, which is none of the shop's (.sliceline/fulfilment).",
    ]
