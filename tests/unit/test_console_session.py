"""What the console seals only it can open, for its purpose and in time."""

from pathlib import Path

import pytest

from services.console.session import Seal, Session
from services.console.settings import ConsoleSettings


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_text("a key")
    return path


def test_what_is_sealed_is_opened_by_every_replica_and_by_nobody_else(key_file: Path, tmp_path: Path) -> None:
    sealed = Seal(key_file).seal({"token": "t"}, "session")
    assert "token" not in sealed
    assert Seal(key_file).open(sealed, dict, "session") == {"token": "t"}
    other = tmp_path / "other.pem"
    other.write_text("another key")
    assert Seal(other).open(sealed, dict, "session") is None
    assert Seal(None).open(sealed, dict, "session") is None


def test_what_is_sealed_for_one_purpose_is_nothing_for_another(key_file: Path) -> None:
    seal = Seal(key_file)
    assert seal.open(seal.seal({}, "begun"), dict, "session") is None


@pytest.mark.parametrize("sealed", [None, "", "x", "gAAAAA", "é"])
def test_what_was_never_sealed_is_nobodys(key_file: Path, sealed: str | None) -> None:
    assert Seal(key_file).open(sealed, dict, "session") is None


def test_who_is_logged_in_may_what_the_token_says() -> None:
    session = Session("ada", frozenset({"orders.read.own"}), "t", 0.0)
    assert session.may("orders.read", "orders.read.own")
    assert not session.may("orders.read")


def test_the_console_does_not_start_open_by_mistake() -> None:
    with pytest.raises(ValueError, match="must say how people log in"):
        ConsoleSettings(services="*=http://*:8000", issuer=None)
    with pytest.raises(ValueError, match="loopback"):
        ConsoleSettings(services="*=http://*:8000", issuer=None, auth="off", host="0.0.0.0")  # noqa: S104


def test_a_token_is_not_shown_where_a_session_is() -> None:
    assert "secret-token" not in repr(Session("ada", frozenset(), "secret-token", 0.0, "secret-refresh"))
    assert "secret-refresh" not in repr(Session("ada", frozenset(), "secret-token", 0.0, "secret-refresh"))
